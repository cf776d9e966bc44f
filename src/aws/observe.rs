//! Every attempt of every call, measured in one place: an interceptor that each client is built with.

use super::classify::class_of_attempt;
use super::error::Class;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, OverriddenHooks};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Who is told of every attempt.
pub trait CallObserver: Send + Sync {
    /// An attempt of a call was made and took so long. `service` and `operation` are AWS's names, from the SDK's model: `SQS`,
    /// `ReceiveMessage`. `failed` says what a failure means, were the call one that changes nothing.
    fn attempted(&self, service: &str, operation: &str, took: Duration, failed: Option<Class>);
}

/// Tells an observer of the attempts of one client.
#[derive(Clone)]
pub(super) struct Observe(pub Arc<dyn CallObserver>);

impl fmt::Debug for Observe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observe")
    }
}

/// When the attempt under way began.
#[derive(Debug)]
struct Begun(Instant);

impl Storable for Begun {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Observe {
    fn name(&self) -> &'static str {
        "Observe"
    }

    fn overridden_hooks(&self) -> OverriddenHooks {
        OverriddenHooks::READ_BEFORE_ATTEMPT | OverriddenHooks::READ_AFTER_ATTEMPT
    }

    fn read_before_attempt(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state().store_put(Begun(Instant::now()));
        Ok(())
    }

    // Runs after every attempt that timed out, too; not after one whose caller dropped it.
    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(Begun(begun)), Some(of)) = (cfg.load::<Begun>(), cfg.load::<Metadata>()) {
            let failed = context.output_or_error().and_then(Result::err);
            let failed = failed.map(|error| class_of_attempt(of.name(), error, context.response()));
            self.0.attempted(of.service(), of.name(), begun.elapsed(), failed);
        }
        Ok(())
    }
}

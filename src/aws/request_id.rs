//! AWS's request id of each answer, put on the span of its call.

use crate::telemetry::spans;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::request_id::RequestId;

/// The outputs of the port's calls are ours and have no room for it; the answer passes here in the task, and so in the span, of its call.
#[derive(Debug)]
pub(super) struct NoteRequestId;

impl Intercept for NoteRequestId {
    fn name(&self) -> &'static str {
        "NoteRequestId"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(id) = context.response().headers().request_id() {
            spans::answered(id);
        }
        Ok(())
    }
}

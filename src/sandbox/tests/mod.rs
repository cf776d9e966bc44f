//! The sandbox through the real SDK clients, over its loopback listener.

mod listener;
mod moves;
mod queues;
mod service_quotas;
mod statements;
mod tables;
mod topics;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};

use super::{Sandbox, SandboxConfig};

/// A sandbox and clients for it.
struct World {
    sandbox: Sandbox,
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    dynamodb: aws_sdk_dynamodb::Client,
}

async fn world() -> World {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    let config = sandbox.sdk_config();
    World {
        sqs: aws_sdk_sqs::Client::new(&config),
        sns: aws_sdk_sns::Client::new(&config),
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        sandbox,
    }
}

impl World {
    async fn queue(&self, name: &str) -> String {
        self.sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
    }

    /// The table `ledger`: key `id`, index `attention` on `attention` and `since`.
    async fn ledger(&self) {
        let attribute = |name: &str| {
            let text = ScalarAttributeType::S;
            AttributeDefinition::builder().attribute_name(name).attribute_type(text).build().unwrap()
        };
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
        let index = GlobalSecondaryIndex::builder()
            .index_name("attention")
            .key_schema(key("attention", KeyType::Hash))
            .key_schema(key("since", KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()
            .unwrap();
        self.dynamodb
            .create_table()
            .table_name("ledger")
            .attribute_definitions(attribute("id"))
            .attribute_definitions(attribute("attention"))
            .attribute_definitions(attribute("since"))
            .key_schema(key("id", KeyType::Hash))
            .global_secondary_indexes(index)
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await
            .unwrap();
    }
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The error code that the SDK reports for a failed call.
macro_rules! code {
    ($failed:expr) => {{
        let error = $failed.unwrap_err();
        let code = aws_sdk_sqs::error::ProvideErrorMetadata::code(&error);
        code.unwrap_or("no code").to_owned()
    }};
}
use code;

//! Amazon DynamoDB: the table library, PartiQL beside it, and the account in the ARNs.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use rustack_dynamodb_core::handler::RustackDynamoDBHandler;
use rustack_dynamodb_core::provider::RustackDynamoDB;
use rustack_dynamodb_http::dispatch::DynamoDBHandler;
use rustack_dynamodb_http::response::error_to_json;
use rustack_dynamodb_model::DynamoDBOperation;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::indexes;
use super::partiql::{Failure, batch_execute_statement, execute_statement};
use super::reply::{Reply, dynamodb_error, json_reply, reply};

/// The library refuses the 129th request at a time where AWS would take it; more wait here instead.
const AT_ONCE: usize = 100;

/// The account that the library writes into every ARN.
const LIBRARY_ACCOUNT: &str = ":000000000000:table/";

/// The tables of the sandbox.
pub(super) struct DynamoDbService {
    tables: Arc<RustackDynamoDB>,
    handler: RustackDynamoDBHandler,
    at_once: Semaphore,
    account: String,
}

impl DynamoDbService {
    pub(super) fn new(tables: Arc<RustackDynamoDB>, account: String) -> Self {
        let handler = RustackDynamoDBHandler::new(Arc::clone(&tables));
        Self { tables, handler, at_once: Semaphore::new(AT_ONCE), account }
    }

    /// Answers the operation named `operation`.
    pub(super) async fn handle(&self, operation: &str, body: Bytes) -> Reply {
        let _turn = self.at_once.acquire().await;
        match operation {
            "ExecuteStatement" => self.run(body, execute_statement).await,
            "BatchExecuteStatement" => self.run(body, batch_execute_statement).await,
            "Query" if names_index(&body) => self.run(body, indexes::query).await,
            "Scan" if names_index(&body) => self.run(body, indexes::scan).await,
            _ => self.pass_on(operation, body).await,
        }
    }

    /// Runs a request on a thread of its own: a scan of a large table takes a while.
    async fn run<T: DeserializeOwned + Send + 'static>(
        &self,
        body: Bytes,
        run: fn(&RustackDynamoDB, T) -> Result<Value, Failure>,
    ) -> Reply {
        let request: T = match serde_json::from_slice(&body) {
            Ok(request) => request,
            Err(error) => {
                let message = format!("the request is not understood: {error}");
                return dynamodb_error(StatusCode::BAD_REQUEST, "SerializationException", &message, None);
            }
        };
        let tables = Arc::clone(&self.tables);
        match tokio::task::spawn_blocking(move || run(&tables, request)).await {
            Ok(Ok(answer)) => json_reply(StatusCode::OK, &answer),
            Ok(Err(failure)) => {
                let status = match failure.code.as_str() {
                    "InternalServerError" => StatusCode::INTERNAL_SERVER_ERROR,
                    _ => StatusCode::BAD_REQUEST,
                };
                let item = failure.item.map(|item| json!(item));
                dynamodb_error(status, &failure.code, &failure.message, item)
            }
            Err(panic) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                dynamodb_error(status, "InternalServerError", &format!("the request failed: {panic}"), None)
            }
        }
    }

    /// Lets the library answer.
    async fn pass_on(&self, operation: &str, body: Bytes) -> Reply {
        let Some(known) = DynamoDBOperation::from_name(operation) else {
            let message = format!("The sandbox does not have the operation {operation}");
            return dynamodb_error(StatusCode::BAD_REQUEST, "UnknownOperationException", &message, None);
        };
        let answered = match self.handler.handle_operation(known, body).await {
            Ok(answered) => answered,
            Err(error) => return reply(error.status_code, "application/x-amz-json-1.0", error_to_json(&error)),
        };
        let (mut parts, body) = answered.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return dynamodb_error(status, "InternalServerError", &error.to_string(), None);
            }
        };
        if !operation.ends_with("Table") {
            return http::Response::from_parts(parts, body);
        }
        // The checksum was of the body before the account was put right.
        parts.headers.remove("x-amz-crc32");
        let text = String::from_utf8_lossy(&body).replace(LIBRARY_ACCOUNT, &format!(":{}:table/", self.account));
        http::Response::from_parts(parts, Bytes::from(text))
    }
}

/// Whether a `Query` or `Scan` reads an index.
fn names_index(body: &Bytes) -> bool {
    let request: Option<Value> = serde_json::from_slice(body).ok();
    request.is_some_and(|request| request.get("IndexName").is_some_and(Value::is_string))
}

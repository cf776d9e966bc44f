//! The ledger's two requests for a finding, 25 of them in each, through the SDK's client: all of it but the wire.

use crate::bench::Bench;
use crate::messages;
use crate::transition::{LEASE, NOW, OWNER, request};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use fleetwarden::aws::Clients;
use fleetwarden::finding::Finding;
use fleetwarden::ledger::{
    BATCH, ClaimOutcome, ClaimRef, DynamoLedger, Finish, Ledger, Status, Step, StepOutcome, Subject,
};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, PoisonError};

pub fn run(bench: &mut Bench) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| unreachable!("no runtime: {error}"));
    let table = Table::default();
    let ledger = DynamoLedger::new(client(&table), "fleetwarden");
    let claims: Vec<_> = (0..BATCH).map(|number| request(Subject::from(&numbered(number)))).collect();
    let finishes: Vec<_> = claims.iter().map(|claim| finish(&claim.subject.key)).collect();
    let claim = || runtime.block_on(ledger.claim(&claims, OWNER, NOW, LEASE));
    let won = |outcome: &ClaimOutcome| matches!(outcome, ClaimOutcome::Ours(_));
    let known = |outcome: &ClaimOutcome| *outcome == ClaimOutcome::Duplicate(Status::Mitigated);
    let all = |expected: &dyn Fn(&ClaimOutcome) -> bool| {
        let results = claim().unwrap_or_else(|error| unreachable!("{error}"));
        assert!(results.iter().all(|result| result.as_ref().is_ok_and(expected)), "{results:?}");
    };

    table.answer(&json!({ "Responses": vec![json!({ "TableName": "fleetwarden" }); BATCH] }));
    all(&won);
    bench.batch("request", "claim_25_new", BATCH as u32, claim);
    bench.batch("request", "finish_25", BATCH as u32, || runtime.block_on(ledger.finish(&finishes, NOW)));

    let items = table.inserted_by(|| all(&won));
    let refused = |item: Value| json!({ "TableName": "fleetwarden", "Error": { "Code": "DuplicateItem", "Message": "exists", "Item": item } });
    let refused: Vec<_> = items.into_iter().map(refused).collect();
    table.answer(&json!({ "Responses": refused }));
    all(&known);
    bench.batch("request", "claim_25_duplicates", BATCH as u32, claim);
}

fn numbered(number: usize) -> Finding {
    Finding { finding_id: format!("11111111-1111-4111-8111-{number:012}"), ..messages::certificate() }
}

fn finish(key: &str) -> Finish {
    Finish {
        claim: ClaimRef { key: key.to_owned(), epoch: 1 },
        status: Status::Mitigated,
        attempts: 0,
        retry_at: None,
        rule: Some("deactivate-expired-certificates".to_owned()),
        detail: "1 of 1 actions changed something".to_owned(),
        steps: vec![Step {
            action: "UPDATE_DEVICE_CERTIFICATE".to_owned(),
            target: "03204de92e11fc8c528139be419065920eb83dbff1a4663bbea455aa6e9702bd".to_owned(),
            prior: Some(json!({ "status": "ACTIVE" })),
            outcome: StepOutcome::Changed,
            detail: String::new(),
            at: NOW,
            request_id: Some("4c2ad9a7-0000-4000-8000-000000000001".to_owned()),
        }],
    }
}

fn client(table: &Table) -> aws_sdk_dynamodb::Client {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "bench");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url("http://127.0.0.1:1")
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(table.clone())
        .build();
    Clients::new(&config).dynamodb
}

/// What stands in for the wire: notes the last request, and answers every one the same.
#[derive(Debug, Clone, Default)]
struct Table {
    last: Arc<Mutex<Vec<u8>>>,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Table {
    fn answer(&self, answer: &Value) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer.to_string().into_bytes();
    }

    /// The items that `claim` inserts, but as mitigated.
    fn inserted_by(&self, claim: impl FnOnce()) -> Vec<Value> {
        claim();
        let body = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let statements = request["Statements"].as_array().into_iter().flatten();
        statements.map(inserted).collect()
    }
}

/// `INSERT INTO "t" VALUE {'a': ?, ...}` with its parameters, as an item.
fn inserted(statement: &Value) -> Value {
    let names = statement["Statement"].as_str().unwrap_or_default().split('\'').skip(1).step_by(2);
    let values = statement["Parameters"].as_array().into_iter().flatten();
    let mut item: Map<_, _> = names.map(str::to_owned).zip(values.cloned()).collect();
    item.insert("status".to_owned(), json!({ "S": Status::Mitigated.as_str() }));
    Value::Object(item)
}

impl HttpConnector for Table {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        body.clone_into(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ok = 200_u16.try_into().unwrap_or_else(|error| unreachable!("200 is a status: {error}"));
        HttpConnectorFuture::ready(Ok(HttpResponse::new(ok, SdkBody::from(answer))))
    }
}

impl HttpClient for Table {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

//! Which service a request is for, and what fault it meets on the way.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use rustack_dynamodb_core::config::DynamoDBConfig;
use rustack_dynamodb_core::provider::RustackDynamoDB;
use rustack_sns_core::config::SnsConfig;
use rustack_sns_http::request::{get_optional_param, parse_form_params};
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::provider::RustackSqs;
use serde_json::json;

use super::control::{AwsFaults, AwsService, FaultInjector, Verdict, access_denied, internal_error};
use super::dynamodb::DynamoDbService;
use super::entries::thin;
use super::iot::{DropConnection, IotConfig, IotService};
use super::reply::{Reply, json_reply, reply, xml_reply};
use super::service_quotas;
use super::signer;
use super::sns::{Params, SnsService};
use super::sqs::SqsService;
use super::used::Used;

/// Where faults of all services but AWS IoT are read and set.
const AWS_FAULTS: &str = "/_sandbox/aws-faults";

/// Where the permissions are told that calls so far would have needed.
const PERMISSIONS: &str = "/_sandbox/permissions";

/// All services of one sandbox.
pub(super) struct Services {
    queues: Arc<RustackSqs>,
    sqs: SqsService,
    sns: Arc<SnsService>,
    dynamodb: DynamoDbService,
    pub(super) iot: IotService,
    pub(super) faults: FaultInjector,
    used: Used,
    account: String,
    region: String,
}

/// A call of a service that [`FaultInjector`] knows.
enum Call {
    Sqs(String),
    Dynamodb(String),
    Sns(Params),
    /// The path of a certificate that SNS signs with.
    Certificate(String),
    ServiceQuotas(String),
}

impl Call {
    fn service(&self) -> AwsService {
        match self {
            Self::Sqs(_) => AwsService::Sqs,
            Self::Dynamodb(_) => AwsService::Dynamodb,
            Self::Sns(_) | Self::Certificate(_) => AwsService::Sns,
            Self::ServiceQuotas(_) => AwsService::ServiceQuotas,
        }
    }

    /// Service and operation as IAM names them; `None` of what needs no permission.
    fn named(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Sqs(operation) => Some(("sqs", operation)),
            Self::Dynamodb(operation) => Some(("dynamodb", operation)),
            Self::Sns(params) => Some(("sns", get_optional_param(params, "Action")?)),
            Self::Certificate(_) => None,
            Self::ServiceQuotas(operation) => Some(("servicequotas", operation)),
        }
    }
}

impl Services {
    /// Empty services that believe themselves at 127.0.0.1:`port`.
    pub(super) fn new(account: String, region: String, port: u16, iot: IotConfig) -> Self {
        let host = "127.0.0.1".to_owned();
        let queues = Arc::new(RustackSqs::new(SqsConfig {
            default_region: region.clone(),
            account_id: account.clone(),
            host: host.clone(),
            port,
            ..Default::default()
        }));
        let topics =
            SnsConfig { default_region: region.clone(), account_id: account.clone(), host, port, ..Default::default() };
        let sns = Arc::new(SnsService::new(topics, Arc::clone(&queues), format!("http://127.0.0.1:{port}")));
        let tables = RustackDynamoDB::new(DynamoDBConfig { default_region: region.clone(), ..Default::default() });
        Self {
            sqs: SqsService::new(Arc::clone(&queues)),
            queues,
            iot: IotService::new(iot, Arc::clone(&sns) as _),
            sns,
            dynamodb: DynamoDbService::new(Arc::new(tables), account.clone()),
            faults: FaultInjector::default(),
            used: Used::default(),
            account,
            region,
        }
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Bytes>) -> Result<Reply, DropConnection> {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        if let Some(operation) = target.strip_prefix("AmazonSQS.") {
            return self.call(Call::Sqs(operation.to_owned()), request.into_body()).await;
        }
        if let Some(operation) = target.strip_prefix("DynamoDB_20120810.") {
            return self.call(Call::Dynamodb(operation.to_owned()), request.into_body()).await;
        }
        if let Some(operation) = target.strip_prefix(service_quotas::TARGET) {
            return self.call(Call::ServiceQuotas(operation.to_owned()), request.into_body()).await;
        }
        match (request.method(), request.uri().path()) {
            // The links in SNS's messages are calls too, with the parameters in the URL.
            (&Method::GET, "/") if request.uri().query().is_some() => {
                let body = Bytes::from(request.uri().query().unwrap_or_default().to_owned());
                self.call(Call::Sns(parse_form_params(&body)), body).await
            }
            (&Method::POST, "/") => {
                let params = parse_form_params(request.body());
                if get_optional_param(&params, "Action") == Some("GetCallerIdentity") {
                    return Ok(self.caller_identity());
                }
                self.call(Call::Sns(params), request.into_body()).await
            }
            (_, "/") => Ok(reply(StatusCode::OK, "text/plain", "An embedded AWS is listening here.\n")),
            (&Method::GET, path) if signer::is_certificate(path) => {
                self.call(Call::Certificate(path.to_owned()), request.into_body()).await
            }
            (&Method::POST, AWS_FAULTS) => Ok(self.set_faults(request.body())),
            (_, AWS_FAULTS) => Ok(json_reply(StatusCode::OK, &json!(self.faults.current()))),
            (_, PERMISSIONS) => Ok(json_reply(StatusCode::OK, &json!({ "permissions": self.permissions() }))),
            _ => self.iot.handle(request).await,
        }
    }

    /// The permissions that the calls so far would have needed, and how many of them did.
    pub(super) fn permissions(&self) -> BTreeMap<String, u64> {
        self.used.with(self.iot.calls())
    }

    async fn call(&self, call: Call, body: Bytes) -> Result<Reply, DropConnection> {
        if let Some((service, operation)) = call.named() {
            self.used.count(service, operation, &body);
        }
        let verdict = self.faults.verdict(call.service());
        match verdict {
            Verdict::Fail => return Ok(internal_error(call.service())),
            Verdict::Deny => return Ok(access_denied(call.service())),
            Verdict::Drop => return Err(DropConnection),
            Verdict::Run | Verdict::LoseReply => {}
        }
        let reply = self.run_entries(call, body).await;
        if verdict == Verdict::LoseReply { Err(DropConnection) } else { Ok(reply) }
    }

    /// Runs a call, without the entries of a batch that are to fail.
    async fn run_entries(&self, call: Call, body: Bytes) -> Reply {
        let service = call.service();
        let thinned = match &call {
            Call::Sqs(operation) | Call::Dynamodb(operation) if self.faults.fails_entries(service) => {
                thin(service, operation, &body, || self.faults.entry_fails(service))
            }
            _ => None,
        };
        let Some(mut thinned) = thinned else {
            return self.run(call, body).await;
        };
        let reply = match thinned.request.take() {
            Some(request) => Some(self.run(call, request).await),
            None => None,
        };
        thinned.rejoin(reply)
    }

    async fn run(&self, call: Call, body: Bytes) -> Reply {
        match call {
            Call::Sqs(operation) => self.sqs.handle(&operation, body).await,
            Call::Dynamodb(operation) => self.dynamodb.handle(&operation, body).await,
            Call::Sns(params) => self.sns.handle(&params, body).await,
            Call::Certificate(path) => match signer::certificate(&path) {
                Some(pem) => reply(StatusCode::OK, "application/x-pem-file", pem),
                None => reply(StatusCode::NOT_FOUND, "text/plain", "SNS has no such certificate\n"),
            },
            Call::ServiceQuotas(operation) => {
                service_quotas::handle(&operation, &body, &self.iot.quotas(), &self.region, &self.account)
            }
        }
    }

    /// `GetCallerIdentity` of STS: the one call of it that the program makes.
    fn caller_identity(&self) -> Reply {
        let account = &self.account;
        let result = format!(
            "<Arn>arn:aws:sts::{account}:assumed-role/sandbox/sandbox</Arn><UserId>AROASANDBOXSANDBOX000:sandbox</UserId>\
             <Account>{account}</Account>"
        );
        xml_reply("https://sts.amazonaws.com/doc/2011-06-15/", "GetCallerIdentity", &result)
    }

    fn set_faults(&self, body: &Bytes) -> Reply {
        let parsed = serde_json::from_slice::<AwsFaults>(body).map_err(|error| error.to_string());
        match parsed.and_then(|faults| self.faults.set(faults)) {
            Ok(()) => json_reply(StatusCode::OK, &json!(self.faults.current())),
            Err(complaint) => json_reply(StatusCode::BAD_REQUEST, &json!({ "message": complaint })),
        }
    }

    /// The topics, for tests that publish as the fleet does.
    #[cfg(test)]
    pub(super) fn topics(&self) -> &SnsService {
        &self.sns
    }

    /// How many large bodies are kept aside.
    #[cfg(test)]
    pub(super) fn large_bodies(&self) -> usize {
        self.sqs.large.len()
    }

    /// Ends the tasks that queues are.
    pub(super) async fn shut_down(&self) {
        self.queues.shutdown_all().await;
    }
}

//! Which API quotas a worker keeps to: what the command line says, else the policy, else Service Quotas, else AWS's defaults.

use crate::budget::{BudgetConfig, Operation, QuotaSources, read_service_quotas};
use crate::policy::Policy;
use crate::telemetry::Telemetry;
use std::collections::BTreeMap;

/// One `--quota`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum QuotaArg {
    /// Read the account's quotas from the Service Quotas API.
    ServiceQuotas,
    /// The quota of one operation, calls per second.
    Rate(Operation, f64),
}

/// Reads one `--quota`.
pub(super) fn quota(text: &str) -> Result<QuotaArg, String> {
    if text == "service-quotas" {
        return Ok(QuotaArg::ServiceQuotas);
    }
    let (operation, rate) =
        text.split_once('=').ok_or("write OPERATION=RATE, such as UpdateCertificate=50, or service-quotas")?;
    let rate = rate.parse().map_err(|_| format!("`{rate}` is not a number of calls per second"))?;
    Ok(QuotaArg::Rate(operation.parse()?, rate))
}

/// The quotas that are named, and how they are used.
pub(super) struct Quotas {
    sources: QuotaSources,
    reserve: f64,
    ask_service_quotas: bool,
}

impl Quotas {
    /// What arguments and policy say. Nothing is called yet.
    pub fn new(quotas: &[QuotaArg], reserve: Option<f64>, policy: &Policy) -> Self {
        let rates = quotas.iter().filter_map(|quota| match quota {
            QuotaArg::Rate(operation, rate) => Some((*operation, *rate)),
            QuotaArg::ServiceQuotas => None,
        });
        let sources = QuotaSources {
            command_line: rates.collect(),
            policy: policy.quotas.rates.clone(),
            service_quotas: BTreeMap::new(),
        };
        let ask_service_quotas = policy.quotas.service_quotas || quotas.contains(&QuotaArg::ServiceQuotas);
        Self { sources, reserve: reserve.unwrap_or(policy.reserve), ask_service_quotas }
    }

    /// Whether Service Quotas is asked when a worker starts.
    pub fn asks_service_quotas(&self) -> bool {
        self.ask_service_quotas
    }

    /// What arguments and policy name.
    pub fn into_sources(self) -> QuotaSources {
        self.sources
    }

    /// The budget that follows.
    pub fn budget(&self) -> BudgetConfig {
        let quotas = self.sources.in_force().into_iter().map(|(operation, (quota, _))| (operation, quota)).collect();
        BudgetConfig { quotas, reserve: self.reserve, ..BudgetConfig::default() }
    }

    /// Asks Service Quotas, if that is wanted, and tells what differs from AWS's defaults. What cannot be read is told, and its
    /// default holds.
    pub async fn settle(&mut self, client: &aws_sdk_servicequotas::Client, telemetry: &Telemetry) {
        if self.ask_service_quotas {
            let applied = read_service_quotas(client).await;
            applied.problems.iter().for_each(|problem| telemetry.quotas_problem(problem));
            telemetry.quotas_read(applied.rates.len());
            self.sources.service_quotas = applied.rates;
        }
        for (operation, quota, source) in self.sources.differing() {
            telemetry.quota_differs(operation, quota, source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(arguments: &[&str], reserve: Option<f64>, policy: &str) -> Quotas {
        let policy = Policy::load(&format!("version: 1\nrules: []\n{policy}\n"), "p.yaml").unwrap();
        let arguments: Vec<_> = arguments.iter().map(|text| quota(text).unwrap()).collect();
        Quotas::new(&arguments, reserve, &policy)
    }

    #[test]
    fn arguments_win_over_the_policy_and_both_over_the_defaults() {
        let policy = "reserve: 0.5\nquotas: { UpdateCertificate: 30, GetPolicy: 30 }";
        let rate = |quotas: &Quotas, operation| quotas.budget().rate(operation);
        let from_policy = quotas(&[], None, policy);
        assert_eq!(rate(&from_policy, Operation::UpdateCertificate), 15.0);
        assert_eq!(rate(&from_policy, Operation::DescribeAuditFinding), 12.5);
        let from_both = quotas(&["UpdateCertificate=40"], Some(0.0), policy);
        assert_eq!(rate(&from_both, Operation::UpdateCertificate), 40.0);
        assert_eq!(rate(&from_both, Operation::GetPolicy), 30.0);
    }

    #[test]
    fn service_quotas_are_asked_if_the_argument_or_the_policy_says_so() {
        assert!(!quotas(&["GetPolicy=1"], None, "quotas: { service-quotas: false }").ask_service_quotas);
        assert!(quotas(&["service-quotas", "GetPolicy=1"], None, "").ask_service_quotas);
        assert!(quotas(&[], None, "quotas: service-quotas").ask_service_quotas);
        assert!(quotas(&[], None, "quotas: { GetPolicy: 1, service-quotas: true }").ask_service_quotas);
    }

    #[cfg(feature = "sandbox")]
    #[tokio::test]
    async fn the_budget_follows_what_service_quotas_tells_where_nobody_else_says_anything() {
        use crate::sandbox::{Sandbox, SandboxConfig, iot};
        let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
        sandbox.iot().set_quotas(iot::Quotas::scaled(5.0));
        let clients = crate::aws::Clients::new(&sandbox.sdk_config());
        let mut quotas = quotas(&["service-quotas", "GetPolicy=7"], Some(0.0), "");
        quotas.settle(&clients.service_quotas, &Telemetry::default()).await;
        assert_eq!(quotas.budget().rate(Operation::UpdateCertificate), 50.0);
        assert_eq!(quotas.budget().rate(Operation::GetPolicy), 7.0);
    }

    #[test]
    fn a_quota_that_cannot_be_read_is_refused_with_what_to_write() {
        for (text, words) in [
            ("service-quota", "or service-quotas"),
            ("UpdateCertificate", "OPERATION=RATE"),
            ("UpdateCertificate=fast", "`fast` is not a number"),
            ("UpdateCertifcate=5", "write one of UpdateCertificate, "),
        ] {
            assert!(quota(text).unwrap_err().contains(words), "{text}");
        }
    }
}

//! Makes what the worker needs: queue, dead-letter queue, redrive, topic, subscription, table. Running it again changes nothing:
//! what is there is found, what differs is told, and no setting that somebody else made is overwritten. And checks it before work
//! begins.

mod check;
mod delegates;
mod plan;
mod queues;
mod run;
mod topic;

pub(crate) use check::region_of_url;
pub use check::{Deployment, SHORTEST_VISIBILITY, check_deployment, queue};
pub use delegates::{check_delegates, look_up};
pub use plan::{SetupError, SetupItem, SetupPlan, SetupReport};
pub use queues::{DEAD_LETTER_RETENTION, MAX_RECEIVE_COUNT, RETENTION, VISIBILITY, WAIT};
pub use run::run;
pub use topic::{SubscriptionInfo, find_subscription, statement_for_topic, topics};

//! What a task is called: the same content has the same id and token, whoever makes it, and no other content has. Pure.

use crate::mitigation::MitigationTaskOrder;
use sha2::{Digest, Sha256};

/// A finding in a task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub finding_id: String,
    /// Tasks that have ended for it: a finding that is given a second chance is given a task of its own.
    pub round: usize,
}

/// The task for these findings of `check`; `actions` in order.
pub(super) fn order(check: &str, actions: &[String], members: impl IntoIterator<Item = Member>) -> MitigationTaskOrder {
    let mut members: Vec<Member> = members.into_iter().collect();
    members.sort_unstable();
    members.dedup();
    let content: Vec<_> = members.iter().map(|member| (&member.finding_id, member.round)).collect();
    let content = serde_json::json!([check, actions, content]).to_string();
    let digest = |what: &str| {
        let digest = Sha256::new().chain_update(what).chain_update(&content).finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    MitigationTaskOrder {
        task_id: format!("fleetwarden-{}", &digest("task")[..40]),
        token: digest("token"),
        check: check.to_owned(),
        actions: actions.to_vec(),
        finding_ids: members.into_iter().map(|member| member.finding_id).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: &[(&str, usize)], actions: &[&str]) -> MitigationTaskOrder {
        let members = members.iter().map(|&(id, round)| Member { finding_id: id.to_owned(), round });
        order("C", &actions.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), members)
    }

    #[test]
    fn the_same_findings_make_the_same_task_in_whatever_order_they_came() {
        let one = of(&[("a", 0), ("b", 0)], &["X"]);
        assert_eq!(one, of(&[("b", 0), ("a", 0), ("b", 0)], &["X"]));
        assert_eq!(one.finding_ids, ["a", "b"]);
    }

    #[test]
    fn any_other_content_makes_another_task() {
        let one = of(&[("a", 0), ("b", 0)], &["X", "Y"]);
        for other in [
            of(&[("a", 0)], &["X", "Y"]),
            of(&[("a", 1), ("b", 0)], &["X", "Y"]),
            of(&[("a", 0), ("b", 0)], &["Y", "X"]),
            of(&[("a", 0), ("b", 0)], &["X"]),
            of(&[("ab", 0)], &["X", "Y"]),
        ] {
            assert_ne!(one.task_id, other.task_id);
            assert_ne!(one.token, other.token);
        }
    }

    #[test]
    fn id_and_token_keep_to_the_rules_of_the_api() {
        let MitigationTaskOrder { task_id, token, .. } = of(&[("a", 0)], &["X"]);
        let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        assert!(fits(&task_id) && task_id.len() <= 128, "{task_id}");
        assert!(fits(&token) && token.len() == 64, "{token}");
    }
}

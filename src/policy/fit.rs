//! Whether the actions of a rule fit the checks that it takes.

use super::Action;
use super::reader::Reader;
use super::yaml::Place;
use crate::finding::{ActionType, catalogue};

/// An entry of `check:`, by its modern name.
pub(super) struct Named {
    pub at: Place,
    pub name: String,
    /// It has `*` or `?` in it.
    pub glob: bool,
}

/// Publishing fits everything. Every other action needs a list of checks, each of which allows it; `None` is a rule
/// without `check:`.
pub(super) fn check_fit(reader: &mut Reader, rule: &str, checks: Option<&[Named]>, actions: &[(&Action, Place)]) {
    let acting = actions.iter().filter(|(action, _)| action.action_type() != ActionType::PublishFindingToSns);
    for (action, at) in acting.clone() {
        let action = action.action_type();
        let fitting = fitting_checks(action);
        let Some(checks) = checks else {
            reader.error(
                *at,
                format!(
                    "{rule} does {action} to findings of any check; add a `check:` list with one or more of {fitting}"
                ),
            );
            continue;
        };
        let allows =
            |named: &Named| named.glob || catalogue::check(&named.name).is_some_and(|check| check.allows(action));
        let unfit: Vec<_> = checks.iter().filter(|named| !allows(named)).map(|named| named.name.as_str()).collect();
        if !unfit.is_empty() {
            let (unfit, move_it) = (unfit.join(", "), "remove the action, or move the check to another rule");
            reader.error(*at, format!("{rule}: {action} does not fit {unfit}; it fits {fitting}; {move_it}"));
        }
    }
    if let (Some((action, _)), Some(checks)) = (acting.clone().next(), checks) {
        let fitting = fitting_checks(action.action_type());
        for named in checks.iter().filter(|named| named.glob) {
            let why = format!("{rule} acts, so it must name each check instead of `{}`", named.name);
            reader.error(named.at, format!("{why}; write one or more of {fitting}"));
        }
    }
}

fn fitting_checks(action: ActionType) -> String {
    let fitting = catalogue::CHECKS.iter().filter(|check| check.allows(action)).map(|check| check.name);
    fitting.collect::<Vec<_>>().join(", ")
}

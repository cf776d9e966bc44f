//! The ledger's table.

use super::diagnosis::{About, Area, Diagnosis};
use super::mend;
use super::plan::Plan;
use super::words::about_read;
use crate::aws::CallError;
use crate::ledger::dynamodb::{TableInfo, TimeToLive};

const TABLE: About = About(Area::Table);

/// The table as it was found; `None` where there is none.
pub(super) fn judge(plan: &Plan, found: &Result<Option<TableInfo>, CallError>) -> Vec<Diagnosis> {
    let name = &plan.table;
    let setup = mend::setup(plan, None);
    let table = match found {
        Err(error) => {
            return vec![
                TABLE
                    .wrong("exists", format!("{name} cannot be looked at: failed to {error}"))
                    .mend(about_read(error, "dynamodb:DescribeTable")),
            ];
        }
        Ok(None) => return vec![TABLE.wrong("exists", format!("there is no table {name}")).mend(setup)],
        Ok(Some(table)) => table,
    };
    if let Some(why) = &table.unfit {
        // It may be somebody else's: how that one is set up is not for this program to say.
        return vec![TABLE.wrong("keys and index", why).mend(format!(
            "a table's keys cannot be changed: {}",
            mend::setup(&Plan { table: format!("{name}-2"), ..plan.clone() }, None)
        ))];
    }
    let mut rows = vec![if table.active {
        TABLE.ok("keys and index", format!("{name} has the ledger's key and its index"))
    } else {
        TABLE.wrong("keys and index", format!("{name} is not ACTIVE")).mend("wait, and run doctor again")
    }];
    if !table.index_whole {
        rows.push(
            TABLE
                .wrong(
                    "index attention",
                    "it is not ACTIVE, or does not hold all attributes: what a person should look at cannot be listed",
                )
                .mend("wait if it is being built; else delete the index and add it again with projection ALL"),
        );
    }
    rows.push(time_to_live(plan, table));
    rows.push(if table.on_demand {
        TABLE.ok("billing", "on demand")
    } else {
        TABLE
            .note(
                "billing",
                "provisioned: an audit's thousand findings come at once, and what is not provisioned is throttled",
            )
            .mend(format!("aws dynamodb update-table --table-name {name} --billing-mode PAY_PER_REQUEST"))
    });
    rows.push(match &table.point_in_time_recovery {
        Ok(true) => TABLE.ok("point-in-time recovery", "on"),
        Ok(false) => TABLE.note("point-in-time recovery", "off: prior states, by which mitigations are undone, are here only").mend(format!(
            "aws dynamodb update-continuous-backups --table-name {name} --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
        )),
        Err(error) => TABLE.not_checked("point-in-time recovery", format!("failed to {error}"))
            .mend(about_read(error, "dynamodb:DescribeContinuousBackups")),
    });
    rows.push(if table.deletion_protection {
        TABLE.ok("deletion protection", "on")
    } else {
        TABLE
            .note("deletion protection", "off: a stack or a person can delete the ledger")
            .mend(format!("aws dynamodb update-table --table-name {name} --deletion-protection-enabled"))
    });
    rows.push(TABLE.ok("encryption", if table.own_key { "with a key of KMS" } else { "with DynamoDB's own key" }));
    rows
}

fn time_to_live(plan: &Plan, table: &TableInfo) -> Diagnosis {
    let what = "time to live";
    match &table.time_to_live {
        Ok(TimeToLive::On) => TABLE.ok(what, "on expires_at"),
        Ok(TimeToLive::Off) => {
            TABLE.wrong(what, "off: the ledger grows for ever, and so do its cost and its listings").mend(mend::setup(plan, None))
        }
        Ok(TimeToLive::ByOther(attribute)) => TABLE
            .wrong(what, format!("on {attribute}, which the ledger does not write: nothing expires"))
            .mend(format!(
                "aws dynamodb update-time-to-live --table-name {0} --time-to-live-specification Enabled=false,AttributeName={attribute}; an hour later, {1}",
                plan.table,
                mend::setup(plan, None)
            )),
        Err(error) => TABLE.not_checked(what, format!("failed to {error}")).mend(about_read(error, "dynamodb:DescribeTimeToLive")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Class;
    use crate::doctor::State;
    use crate::doctor::run::tests::plan;

    fn table() -> TableInfo {
        TableInfo {
            unfit: None,
            active: true,
            index_whole: true,
            on_demand: true,
            deletion_protection: true,
            own_key: false,
            time_to_live: Ok(TimeToLive::On),
            point_in_time_recovery: Ok(true),
        }
    }

    fn unwell(table: TableInfo) -> Vec<(String, State, String)> {
        let rows = judge(&plan(), &Ok(Some(table))).into_iter().filter(|row| row.state != State::Ok);
        rows.map(|row| (row.what, row.state, row.mend)).collect()
    }

    #[test]
    fn of_a_table_that_is_not_the_ledgers_nothing_else_is_said() {
        let theirs = TableInfo {
            unfit: Some("another key".into()),
            time_to_live: Ok(TimeToLive::ByOther("ttl".into())),
            deletion_protection: false,
            ..table()
        };
        assert_eq!(judge(&plan(), &Ok(Some(theirs))).len(), 1, "its settings are its owner's");
    }

    #[test]
    fn each_setting_of_the_table_that_is_off_is_told_with_its_command() {
        assert_eq!(unwell(table()), []);
        let denied = CallError::new(Class::Denied, "DescribeTimeToLive", "no").with_code("AccessDeniedException");
        for (table, what, state, mend) in [
            (
                TableInfo { unfit: Some("another key".into()), ..table() },
                "keys and index",
                State::Wrong,
                "--table ledger-2",
            ),
            (TableInfo { active: false, ..table() }, "keys and index", State::Wrong, "wait"),
            (TableInfo { index_whole: false, ..table() }, "index attention", State::Wrong, "projection ALL"),
            (
                TableInfo { time_to_live: Ok(TimeToLive::Off), ..table() },
                "time to live",
                State::Wrong,
                "fleetwarden setup",
            ),
            (
                TableInfo { time_to_live: Ok(TimeToLive::ByOther("ttl".into())), ..table() },
                "time to live",
                State::Wrong,
                "AttributeName=ttl",
            ),
            (
                TableInfo { time_to_live: Err(denied), ..table() },
                "time to live",
                State::NotChecked,
                "allow dynamodb:DescribeTimeToLive",
            ),
            (TableInfo { on_demand: false, ..table() }, "billing", State::Note, "PAY_PER_REQUEST"),
            (
                TableInfo { deletion_protection: false, ..table() },
                "deletion protection",
                State::Note,
                "--deletion-protection-enabled",
            ),
            (
                TableInfo { point_in_time_recovery: Ok(false), ..table() },
                "point-in-time recovery",
                State::Note,
                "update-continuous-backups",
            ),
        ] {
            let rows = unwell(table);
            assert!(rows.len() == 1 && rows[0].0 == what && rows[0].1 == state && rows[0].2.contains(mend), "{rows:?}");
        }
    }

    #[test]
    fn no_table_is_told_with_what_makes_it() {
        let rows = judge(&plan(), &Ok(None));
        assert!(
            rows.len() == 1 && rows[0].state == State::Wrong && rows[0].mend.contains("--table ledger"),
            "{rows:?}"
        );
    }
}

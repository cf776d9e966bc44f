//! Whoever starts the program in a container gives no flags: what is missing is told by its variable, too.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// The error of a command line that lacks something, with the variables that can give it.
pub(super) fn name_variables(mut error: Error, program: &Command) -> Error {
    if error.kind() != ErrorKind::MissingRequiredArgument {
        return error;
    }
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return error };
    let variables: Vec<String> = missing.iter().filter_map(|argument| variable(program, argument)).collect();
    if !variables.is_empty() {
        let tip = format!("set {} instead; `fleetwarden setup` prints what to", variables.join(" and "));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The variable of `--queue-url <URL>`. Arguments of one name have one variable in every command.
fn variable(command: &Command, argument: &str) -> Option<String> {
    let name = argument.strip_prefix("--")?.split(' ').next()?;
    let own = command.get_arguments().find(|argument| argument.get_long() == Some(name));
    let own = own.and_then(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
    own.or_else(|| command.get_subcommands().find_map(|command| variable(command, argument)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn program() -> Command {
        let argument = |name: &'static str, variable: &'static str| {
            Arg::new(name).long(name).value_name("URL").env(variable).required(true)
        };
        let run = Command::new("run")
            .arg(argument("queue-url", "NOT_SET_QUEUE_URL"))
            .arg(argument("other-url", "NOT_SET_OTHER_URL"))
            .arg(Arg::new("file").required(true));
        Command::new("program").subcommand(Command::new("none")).subcommand(run)
    }

    fn told(arguments: &[&str]) -> String {
        name_variables(program().try_get_matches_from(arguments).unwrap_err(), &program()).to_string()
    }

    #[test]
    fn what_is_missing_is_told_by_its_variables_too_and_other_mistakes_are_left_alone() {
        let missing = told(&["program", "run", "--other-url", "d", "f"]);
        assert!(
            missing.contains("--queue-url <URL>") && missing.contains("set NOT_SET_QUEUE_URL instead"),
            "{missing}"
        );
        let missing = told(&["program", "run"]);
        assert!(missing.contains("set NOT_SET_QUEUE_URL and NOT_SET_OTHER_URL instead"), "{missing}");
        assert!(!told(&["program", "run", "--queue-url", "q", "--other-url", "d"]).contains("instead"));
        assert!(!told(&["program", "run", "--queue-ur", "q"]).contains("instead"));
    }
}

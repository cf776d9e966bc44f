//! `cargo bench --bench core`: what a finding costs before and after every call to AWS, in time and in allocations.
//!
//! Decode, decide, transition and encode, each by kind of message; the whole way of a finding through them; and the two requests of the
//! ledger through the real SDK client, answered in this process, so that our part can be held against the SDK's.
//!
//! Arguments are criterion's: `-- decode` runs what has that in its name, `-- --quick` takes seconds, `-- --save-baseline before` and
//! `-- --baseline before` compare two builds. Prints a table at the end and writes `target/figures/core.json`.

mod bench;
mod decide;
mod decode;
mod encode;
#[path = "../shared/files.rs"]
mod files;
mod messages;
mod report;
mod requests;
mod transition;
mod whole;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut bench = bench::Bench::from_arguments();
    whole::run(&mut bench);
    decode::run(&mut bench);
    decide::run(&mut bench);
    transition::run(&mut bench);
    encode::run(&mut bench);
    requests::run(&mut bench);
    let rows = bench.finish();
    if rows.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{}", report::table(&rows));
    if cfg!(debug_assertions) {
        println!("a build with debug assertions: many times slower than the program that is shipped");
    }
    match files::write("core", &report::document(&rows)) {
        Ok(file) => eprintln!("figures in {}", file.display()),
        Err(error) => {
            eprintln!("the figures cannot be written: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

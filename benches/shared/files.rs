//! Where benchmarks leave their figures.

use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// Writes the document to `figures/<name>.json` in cargo's target directory; returns where that is.
///
/// # Errors
/// The directory or the file cannot be written.
pub fn write(name: &str, document: &Value) -> io::Result<PathBuf> {
    let figures = target().join("figures");
    std::fs::create_dir_all(&figures)?;
    let file = figures.join(name).with_extension("json");
    std::fs::write(&file, format!("{document:#}\n"))?;
    Ok(file)
}

/// Cargo's target directory: that of the program under test, which lies in `<target>/<profile>/`.
pub fn target() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_fleetwarden"));
    program.ancestors().nth(2).unwrap_or(Path::new("target")).to_owned()
}

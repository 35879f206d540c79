//! What the commands have in common that start databases themselves: the shop, the program, and where results go.

use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tpcw::population::Scale;
use tpcw::session::Error;

/// Arguments of `compare` and `recovery`.
#[derive(Args)]
pub struct Setup {
    /// Seconds before measuring
    #[arg(long, default_value_t = 2)]
    warm_up: u32,
    /// Mean think time in milliseconds; 0 saturates the databases
    #[arg(long, default_value_t = 0)]
    think_ms: u32,
    /// Items to sell
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(i64).range(1..=10_000_000))]
    items: i64,
    /// Emulated browsers that the shop is made for, with 2880 customers each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    ebs: i64,
    /// Where databases are made
    #[arg(long, value_name = "DIR", default_value = "target/tpcw")]
    pub data: PathBuf,
    /// The evesql program [default: the one beside this one, built if it is not there]
    #[arg(long, value_name = "FILE")]
    evesql: Option<PathBuf>,
    /// Writes the results into this directory, as a page with plots and as JSON
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Setup {
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up.into())
    }

    pub fn think(&self) -> Duration {
        Duration::from_millis(self.think_ms.into())
    }

    pub fn scale(&self) -> Scale {
        Scale { items: self.items, ebs: self.ebs, seed: 1 }
    }

    pub fn evesql(&self) -> Result<PathBuf, Error> {
        self.evesql.clone().map_or_else(beside, Ok)
    }

    /// Writes NAME.html and NAME.json, if results are to go somewhere.
    pub fn write(
        &self,
        name: &str,
        results: &impl serde::Serialize,
        page: impl FnOnce() -> Result<String, String>,
    ) -> Result<(), Error> {
        let Some(out) = &self.out else { return Ok(()) };
        std::fs::create_dir_all(out).map_err(|error| unwritten(out, &error))?;
        let json = serde_json::to_string(results).map_err(|error| Error::Failed(error.to_string()))?;
        for (ending, text) in [("json", json + "\n"), ("html", page().map_err(Error::Failed)?)] {
            let file = out.join(format!("{name}.{ending}"));
            std::fs::write(&file, text).map_err(|error| unwritten(&file, &error))?;
            eprintln!("written: {}", file.display());
        }
        Ok(())
    }
}

/// What was typed, without the path of this program.
pub fn command() -> String {
    std::iter::once("tpcw".to_string()).chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ")
}

fn unwritten(file: &Path, error: &std::io::Error) -> Error {
    Error::Failed(format!("{} cannot be written: {error}", file.display()))
}

/// The program beside this one. Under `cargo run` it is built first, so that it is the one of these sources.
fn beside() -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(|error| Error::Failed(error.to_string()))?;
    let beside = own.with_file_name("evesql");
    if let Some(cargo) = std::env::var_os("CARGO") {
        eprintln!("building evesql");
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "evesql", "--bin", "evesql"]);
        if own.components().any(|part| part.as_os_str() == "release") {
            build.arg("--release");
        }
        let built = build.status().is_ok_and(|status| status.success());
        if !built {
            return Err(Error::Failed("evesql cannot be built; see above".into()));
        }
    }
    match beside.exists() {
        true => Ok(beside),
        false => Err(Error::Failed(format!("{} is not there; name the program with --evesql", beside.display()))),
    }
}

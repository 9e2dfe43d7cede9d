//! `wasmproc doctor`, and the hidden command by which single attempts are tried.

use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets};

use super::{print_json, print_line};
use crate::probe::{Diagnosis, Options, Site, State, examine};
use wasmproc_sandbox::Layer;

/// Check what this machine has of the sandbox, by trying to get out of it
///
/// Starts workers as `wasmproc run` does, but with native code in the place of a guest, which makes
/// system calls that would be ways out. Says of each layer whether it is enforced, and what to do
/// where it is not.
///
/// Exits with 0 if every layer is enforced, 1 if one is degraded or missing while the others hold,
/// 2 if an attempt to get out was not stopped, 125 if workers can't be started at all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmproc doctor
  wasmproc doctor --attempts            also list what was tried, and what stopped it
  wasmproc doctor --json | jq .layers")]
pub(super) struct Doctor {
    /// List every attempt, and what stopped it
    #[arg(long)]
    attempts: bool,

    /// Print as JSON, attempts included
    #[arg(long)]
    json: bool,
}

const DEGRADED: u8 = 1;
const ESCAPED: u8 = 2;

impl Doctor {
    pub(super) fn execute(self) -> Result<u8> {
        let diagnosis = examine()?;
        if self.json {
            print_json(&diagnosis)?;
        } else {
            print_line(&self.table(&diagnosis))?;
        }
        Ok(match (diagnosis.not_stopped().next(), diagnosis.worst()) {
            (Some(_), _) => ESCAPED,
            (None, State::Enforced) => 0,
            (None, State::Degraded | State::Missing) => DEGRADED,
        })
    }

    fn table(&self, diagnosis: &Diagnosis) -> String {
        let mut layers = Table::new();
        layers.load_style(presets::NOTHING);
        layers.set_header(["LAYER", "STATE", "DETAIL"]);
        for check in &diagnosis.layers {
            let detail = match &check.remedy {
                Some(remedy) => format!("{}; {remedy}", check.detail),
                None => check.detail.clone(),
            };
            layers.add_row([check.layer.clone(), format!("{:?}", check.state).to_lowercase(), detail]);
        }
        let mut text = lines(&layers);
        let tried = diagnosis.attempts.len();
        let mut attempts = Table::new();
        attempts.load_style(presets::NOTHING);
        for tried in &diagnosis.attempts {
            if self.attempts || !tried.verdict.is_stopped() {
                attempts.add_row([tried.name.to_owned(), tried.verdict.to_string(), format!("({})", tried.what)]);
            }
        }
        text += &match diagnosis.not_stopped().count() {
            0 => format!("\n{tried} ways out were tried, and all were stopped\n"),
            others => format!("\n{tried} ways out were tried, and {others} were NOT stopped\n"),
        };
        if !attempts.is_empty() {
            text += &lines(&attempts);
        }
        text
    }
}

fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Make attempts to get out of the sandbox, for tests
///
/// Prints how each ended. With a layer of the sandbox left out, others must stop it; outside of it, nothing does.
#[derive(Debug, Args)]
pub(super) struct Attempt {
    /// As `doctor --attempts` lists them, or syscall-N
    #[arg(required = true)]
    names: Vec<String>,

    /// In this process, with nothing around it
    #[arg(long)]
    outside: bool,

    /// Leave this layer out
    #[arg(long, value_name = "LAYER", value_parser = layer)]
    without: Option<Layer>,

    /// Grant no directory
    #[arg(long)]
    no_directory: bool,
}

impl Attempt {
    pub(super) fn execute(self) -> Result<u8> {
        let site = Site::new()?;
        let options = Options { without: self.without, no_directory: self.no_directory };
        if !self.outside {
            site.walls(options)?;
        }
        for name in &self.names {
            let verdict = match self.outside {
                true => site.try_outside(name),
                false => site.try_inside(name, options)?,
            };
            print_line(&format!("{name} {verdict}"))?;
        }
        Ok(0)
    }
}

fn layer(name: &str) -> Result<Layer, String> {
    let names: Vec<String> = Layer::ALL.iter().map(Layer::to_string).collect();
    Layer::named(name).ok_or_else(|| format!("the layers are {}", names.join(", ")))
}

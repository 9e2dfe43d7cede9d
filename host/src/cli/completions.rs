//! `wasmproc completions` and `wasmproc man`.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, print_line};

/// Print completions for a shell
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn execute(self) -> Result<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "wasmproc", &mut script);
        print_line(&String::from_utf8_lossy(&script))?;
        Ok(0)
    }
}

/// Print the manual page, of wasmproc or of one of its commands
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The command
    command: Option<String>,
}

impl Man {
    pub(super) fn execute(self) -> Result<u8> {
        let mut all = Arguments::command();
        all.build();
        let command = match &self.command {
            None => all,
            Some(name) => match all.find_subcommand(name) {
                Some(command) => command.clone().name(format!("wasmproc-{name}")),
                None => anyhow::bail!("there is no command {name}: see wasmproc --help"),
            },
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        print_line(&String::from_utf8_lossy(&page))?;
        Ok(0)
    }
}

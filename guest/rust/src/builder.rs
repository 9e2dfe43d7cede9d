//! Everything that can be said about a process before it is started.

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::wasmproc::ipc::process::{Directory, Target};
use crate::error::Error;
use crate::function::Function;
use crate::handle::Share;
use crate::prepared::Prepared;
use crate::process::Process;
use crate::settings::Settings;
use crate::target::{Local, Main, Named};
use crate::{carrier, trampoline, wire};

/// A process to be: made by [`Process::builder`], [`Process::named`] or [`Process::command`], which decide the
/// [target](crate::target) `T`.
///
/// What isn't said is inherited from this process. Nothing can be widened: a child never sees more, or may use more,
/// than its parent.
///
/// ```no_run
/// use std::time::Duration;
/// use wasmproc_guest::{Access, Error, Process};
///
/// fn render(page: u32) -> String {
///     format!("<page {page}>")
/// }
///
/// # fn main() -> Result<(), Error> {
/// let page = Process::builder(render)
///     .name("renderer")
///     .directory("/templates", "/templates", Access::ReadOnly)
///     .env_clear()
///     .max_memory(64 << 20)
///     .timeout(Duration::from_secs(10))
///     .spawn(3)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `spawn` is called"]
pub struct Builder<T> {
    target: T,
    settings: Settings,
}

/// Whether a child may change what is in a directory.
///
/// ```no_run
/// use wasmproc_guest::{Access, Process};
///
/// let tool = Process::command("tool").directory("/data", "/data", Access::ReadOnly);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// It may only read.
    ReadOnly,
    /// It may do what this process may: if that only reads, so does the child.
    ReadWrite,
}

impl<T> Builder<T> {
    /// Its name: for people, and need not be unique. By default `process-N`, where N is its pid; at most 64 bytes.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.name("hammer");
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Whether it is a daemon: it ends with its parent's main function, and may not have children. It isn't by default.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.daemon(true);
    /// ```
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.settings.daemon = daemon;
        self
    }

    /// Adds a directory: `source` as this process names it, which the child sees as `guest`. With the first call, the
    /// child sees no directories but those that are added.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// use wasmproc_guest::Access;
    ///
    /// let builder = builder
    ///     .directory("/data/2024", "/in", Access::ReadOnly)
    ///     .directory("/out", "/out", Access::ReadWrite);
    /// ```
    pub fn directory(mut self, source: impl Into<String>, guest: impl Into<String>, access: Access) -> Self {
        self.settings.add_directory(Directory {
            source: source.into(),
            guest: guest.into(),
            read_only: access == Access::ReadOnly,
        });
        self
    }

    /// The child sees no directory at all, or only those that are added after this.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.no_directories();
    /// ```
    pub fn no_directories(mut self) -> Self {
        self.settings.directories = Some(Vec::new());
        self
    }

    /// Sets a variable of the child's environment.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.env("LANG", "C");
    /// ```
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.environment.set(name.into(), value.into());
        self
    }

    /// Doesn't pass a variable on.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.env_remove("TOKEN");
    /// ```
    pub fn env_remove(mut self, name: impl Into<String>) -> Self {
        self.settings.environment.remove(name.into());
        self
    }

    /// Passes no variables on but those that are set after this.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.env_clear().env("LANG", "C");
    /// ```
    pub fn env_clear(mut self) -> Self {
        self.settings.environment.clear();
        self
    }

    /// Adds an argument to what [`std::env::args`] gives in the child, after the name of the program, which stays.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.arg("--verbose");
    /// ```
    pub fn arg(self, argument: impl Into<String>) -> Self {
        self.args([argument])
    }

    /// Adds several arguments. See [`arg`](Builder::arg).
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.args(["--color", "never"]);
    /// ```
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.add_arguments(arguments.into_iter().map(Into::into));
        self
    }

    /// Limits the bytes of all its memories and tables together. Growing past it fails.
    ///
    /// A limit above this process's own counts as this process's own.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.max_memory(16 << 20);
    /// ```
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.settings.max_memory_bytes = Some(bytes);
        self
    }

    /// Limits its processor time. The process is killed when it is used up.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.cpu_time(std::time::Duration::from_secs(2));
    /// ```
    pub fn cpu_time(mut self, limit: Duration) -> Self {
        self.settings.cpu_time = Some(limit);
        self
    }

    /// Limits the time from its start. The process is killed when it is over, whatever it is doing or waiting for.
    ///
    /// ```no_run
    /// # let builder = wasmproc_guest::Process::command("tool");
    /// let builder = builder.timeout(std::time::Duration::from_secs(30));
    /// ```
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = Some(limit);
        self
    }
}

impl<T> Builder<T> {
    /// Grants the process a shared object, for it to open by its number.
    ///
    /// Objects among the arguments of a function are granted without this. It is for what has no such arguments: the
    /// main function of another component, and functions of programs in another language. One end of a pipe moves
    /// to the process.
    ///
    /// ```no_run
    /// use wasmproc_guest::{Error, Process, Queue};
    ///
    /// # fn main() -> Result<(), Error> {
    /// let lines = Queue::<String>::new()?;
    /// Process::command("tool").share(&lines).arg(lines.id().to_string()).spawn()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn share(mut self, object: &impl Share) -> Self {
        object.attach(&mut self.settings.objects);
        self
    }
}

impl<F> Builder<Local<F>> {
    /// Takes the function to know its type: the type is all there is to it.
    pub(crate) fn of_function(_: &F) -> Self {
        Self { target: Local(PhantomData), settings: Settings::default() }
    }

    /// Starts the process. See [`Process::spawn`].
    ///
    /// # Errors
    ///
    /// Those of [`Process::spawn`]; besides [`Denied`](crate::ErrorKind::Denied) for a directory that this process
    /// doesn't have.
    ///
    /// ```no_run
    /// # use wasmproc_guest::Process;
    /// # fn add(a: i32, b: i32) -> i32 { a + b }
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let sum = Process::builder(add).name("sum").spawn((1, 2))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<A, Mark>(self, arguments: A) -> Result<Process<F::Output>, Error>
    where
        F: Function<A, Mark>,
        A: Serialize + DeserializeOwned,
    {
        self.prepare(arguments)?.start()
    }

    /// Makes everything ready, and doesn't start the process.
    ///
    /// # Errors
    ///
    /// [`Encoding`](crate::ErrorKind::Encoding) for arguments that can't be serialised.
    ///
    /// ```no_run
    /// # use wasmproc_guest::Process;
    /// # fn add(a: i32, b: i32) -> i32 { a + b }
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let sum = Process::builder(add).prepare((1, 2))?;
    /// let sum = sum.start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prepare<A, Mark>(mut self, arguments: A) -> Result<Prepared<F::Output>, Error>
    where
        F: Function<A, Mark>,
        A: Serialize + DeserializeOwned,
    {
        let input = encode(&arguments, std::any::type_name::<F>(), &mut self.settings)?;
        let target = Target::Function(trampoline::locate::<F, A, Mark>().to_string());
        Ok(Prepared::new(target, input, self.settings))
    }
}

impl Builder<Named> {
    pub(crate) fn of_named(function: String) -> Self {
        Self { target: Named { function }, settings: Settings::default() }
    }

    /// The component that has the function: one that was granted to this run under the name `component`. By default it
    /// is this one.
    ///
    /// ```no_run
    /// # use wasmproc_guest::{Error, Process};
    /// # fn main() -> Result<(), Error> {
    /// let answer: Process<i64> = Process::named("double").component("numbers").spawn(21_i64)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn component(mut self, component: impl Into<String>) -> Self {
        self.settings.component = Some(component.into());
        self
    }

    /// Starts the process. The function returns an `R`, as you say: nothing here can check it.
    ///
    /// # Errors
    ///
    /// Those of [`Process::spawn`]; besides [`Invalid`](crate::ErrorKind::Invalid) if there is no such component.
    ///
    /// ```no_run
    /// # use wasmproc_guest::{Error, Process};
    /// # fn main() -> Result<(), Error> {
    /// let answer = Process::named("double").spawn::<i64>(21_i64)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<R: DeserializeOwned>(self, arguments: impl Serialize) -> Result<Process<R>, Error> {
        self.prepare(arguments)?.start()
    }

    /// Makes everything ready, and doesn't start the process.
    ///
    /// # Errors
    ///
    /// [`Encoding`](crate::ErrorKind::Encoding) for arguments that can't be serialised.
    ///
    /// ```no_run
    /// # use wasmproc_guest::{Error, Process};
    /// # fn main() -> Result<(), Error> {
    /// let answer = Process::named("double").prepare::<i64>(21_i64)?;
    /// let answer = answer.start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prepare<R: DeserializeOwned>(mut self, arguments: impl Serialize) -> Result<Prepared<R>, Error> {
        let function = self.target.function;
        let input = encode(&arguments, &function, &mut self.settings)?;
        Ok(Prepared::new(Target::Function(function), input, self.settings))
    }
}

impl Builder<Main> {
    pub(crate) fn of_main(component: String) -> Self {
        // Another program's arguments are its own: by default none, and not those of this process.
        let settings = Settings { component: Some(component), arguments: Some(Vec::new()), ..Settings::default() };
        Self { target: Main(()), settings }
    }

    /// Starts the process.
    ///
    /// # Errors
    ///
    /// Those of [`Process::spawn`]; besides [`Invalid`](crate::ErrorKind::Invalid) if there is no such component.
    ///
    /// ```no_run
    /// # use wasmproc_guest::{Error, Process};
    /// # fn main() -> Result<(), Error> {
    /// let tool = Process::command("tool").arg("--version").spawn()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn(self) -> Result<Process, Error> {
        self.prepare().start()
    }

    /// Makes everything ready, and doesn't start the process.
    ///
    /// ```no_run
    /// # use wasmproc_guest::{Error, Process};
    /// # fn main() -> Result<(), Error> {
    /// let tool = Process::command("tool").prepare().start()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prepare(self) -> Prepared {
        Prepared::new(Target::Main, Vec::new(), self.settings)
    }
}

/// Encodes the arguments, and shares the objects in them.
fn encode(arguments: &impl Serialize, function: &str, settings: &mut Settings) -> Result<Vec<u8>, Error> {
    let (input, attachments) = carrier::into_spawn(|| wire::encode(arguments));
    settings.objects.0.extend(attachments);
    input.map_err(|error| error.during(&format!("the arguments of {function} can't be serialised")))
}

//! The two streams. Standard output carries the product and nothing else; standard error carries progress,
//! warnings and the summary.

use crate::cli::Color;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a run may take before it shows that it is alive.
const PATIENCE: Duration = Duration::from_millis(500);

/// What may be written where, and how.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    pub stdout_color: bool,
    pub stderr_color: bool,
    pub quiet: bool,
    pub verbose: bool,
}

impl Terminal {
    pub fn new(color: Color, quiet: bool, verbose: bool) -> Terminal {
        let (stdout_is_terminal, stderr_is_terminal) =
            (io::stdout().is_terminal(), io::stderr().is_terminal());
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let wanted = |is_terminal| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if set("NO_COLOR") => false,
            Color::Auto => is_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        };
        Terminal {
            stdout_is_terminal,
            stderr_is_terminal,
            stdout_color: wanted(stdout_is_terminal),
            stderr_color: wanted(stderr_is_terminal),
            quiet,
            verbose,
        }
    }

    /// Write the product. A reader that has gone away, as `head` does, is no failure.
    pub fn product(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> miette::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => {
                Err(miette::miette!("cannot write to standard output: {}", crate::discover::reason(&error)))
            }
            Ok(()) => Ok(()),
        }
    }

    /// One line on standard error. What cannot be written there has nobody to be told.
    fn line(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Something that did not stop the run. `text` is escaped already.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            self.line(&format!("{} {text}", self.paint("warning:", "33;1")));
        }
    }

    /// Something that went wrong for one file while the run goes on. Shown even when quiet.
    pub fn failed(&self, text: &str) {
        self.line(&format!("{} {text}", self.paint("error:", "31;1")));
    }

    /// The summary.
    pub fn summary(&self, text: &str) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// What `-v` adds.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.line(&format!("{} {text}", self.paint("info:", "34")));
        }
    }

    /// What stopped the run.
    pub fn error(&self, error: &miette::Report) {
        let mut text = String::new();
        let diagnostic: &dyn Diagnostic = error.as_ref();
        if graphical(self.stderr_color).render_report(&mut text, diagnostic).is_err() {
            text = error.to_string();
        }
        self.line(text.trim_end());
    }

    fn paint(&self, text: &str, style: &str) -> String {
        if self.stderr_color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// Show `message` until the result is dropped, if that takes longer than [`PATIENCE`].
    pub fn progress(&self, message: impl Into<String>) -> Progress {
        if self.quiet || !self.stderr_is_terminal {
            return Progress(None);
        }
        let message = message.into();
        let (done, wait) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            if wait.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.set_message(message);
            bar.enable_steady_tick(Duration::from_millis(100));
            let _ = wait.recv();
            bar.finish_and_clear();
        });
        Progress(Some((done, thread)))
    }

    /// Report a panic as what it is: a bug of ours, never of the scanned project.
    pub fn install_panic_hook(&self) {
        let terminal = *self;
        std::panic::set_hook(Box::new(move |info| {
            let place =
                info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
            let payload = info.payload();
            let message = payload
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("panic");
            terminal.failed(&format!("internal error{place}: {}", crate::escape::escape_line(message)));
            terminal.line("  This is a bug in ormend, please report it. Nothing was left half-written.");
        }));
    }
}

/// A sign of life on standard error, gone when dropped.
pub struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.0.take() {
            drop(done);
            let _ = thread.join();
        }
    }
}

/// The renderer of every diagnostic, so that findings and errors look alike.
pub fn graphical(color: bool) -> GraphicalReportHandler {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false).with_context_lines(1)
}

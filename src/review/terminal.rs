//! A review in a terminal: lines are printed, a key answers. Raw mode is on only while a key is waited for, so that whatever
//! ends the run leaves a sane terminal.

use super::edit::{Edited, Lines};
use super::hunks::{FileHunks, hunks};
use super::session::{Answer, Item, Key, Reply, Session, Then};
use super::signals::{self, Signals};
use crate::discover::reason;
use crate::escape::escape_line;
use crate::paths::Paths;
use crate::report::diff;
use crate::terminal::Terminal;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode, size};
use miette::miette;
use std::fs;
use std::io::{self, Write};
use std::process::Command;
use std::time::Duration;
use textwrap::{Options, WordSplitter};

const PROMPT: &str = "Apply this fix [y,n,a,d,e,u,/,q,?]? ";

const HELP: &str = "\
y  take this fix
n  leave it
a  take it and all later ones in this file that are safe
d  leave it and all later ones in this file
A  the same as a, for this codemod
D  the same as d, for this codemod
e  edit the new lines; then take them
u  undo the last answer and go back to it
j  go to the next fix and decide later (or the arrow down)
k  go to the fix before (or the arrow up)
l  list the fixes and their answers
/  only ask about a codemod, or a part of a path
q  stop asking; the rest is left
?  this help
Ctrl-C  give up: nothing is applied or written
";

/// Text is wrapped to the window, but never narrower.
const MIN_WIDTH: usize = 30;

/// How often it is looked whether a signal came.
const TICK: Duration = Duration::from_millis(100);

/// How a review ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What was taken is to be applied.
    Finished,
    /// Nothing is; the process should end as this signal makes it.
    Interrupted(i32),
}

/// Step through the fixes of `session`.
pub fn run(session: &mut Session, paths: &Paths, terminal: &Terminal) -> miette::Result<End> {
    let signals =
        Signals::listen().map_err(|error| miette!("cannot listen to signals: {}", reason(&error)))?;
    let mut screen = Screen { signals, style: diff::Style { color: terminal.stdout_color, escape: true } };
    screen
        .review(session, paths)
        .map_err(|error| miette!(help = "nothing was applied", "cannot use the terminal: {}", reason(&error)))
}

struct Screen {
    signals: Signals,
    style: diff::Style,
}

/// What was typed, or the signal that came instead.
type Typed<T> = Result<T, i32>;

/// A text that could not be taken, to go on with.
type Draft = Option<(String, String)>;

impl Screen {
    fn review(&mut self, session: &mut Session, paths: &Paths) -> io::Result<End> {
        let mut draft: Draft = None;
        let mut files = self.show(session, paths)?;
        loop {
            let mut reply = match self.key()? {
                Ok(key) => session.press(key),
                Err(signal) => return Ok(End::Interrupted(signal)),
            };
            self.say(&reply)?;
            if reply.then == Then::Edit {
                reply = self.edit(session, paths, files.as_deref().unwrap_or_default(), &mut draft)?;
                self.say(&reply)?;
            } else if reply.then == Then::Filter {
                reply = match self.line("Codemod or part of a path: ")? {
                    Ok(Some(text)) => session.filter(&text),
                    Ok(None) => Reply { say: Vec::new(), then: Then::Ask },
                    Err(signal) => return Ok(End::Interrupted(signal)),
                };
                self.say(&reply)?;
            }
            match reply.then {
                Then::Ask | Then::Edit | Then::Filter => {}
                Then::Show => files = self.show(session, paths)?,
                Then::Help => self.print(HELP)?,
                Then::List => self.list(session)?,
                Then::Finish => return Ok(End::Finished),
                Then::Abort => return Ok(End::Interrupted(signals::INTERRUPT)),
            }
        }
    }

    fn print(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn say(&self, reply: &Reply) -> io::Result<()> {
        reply.say.iter().try_for_each(|line| self.print(&format!("{line}\n")))
    }

    fn paint(&self, text: &str, ink: &str) -> String {
        if self.style.color { format!("\x1b[{ink}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Print the fix that is asked about, and answer what it changes, if it can be applied.
    fn show(&self, session: &mut Session, paths: &Paths) -> io::Result<Option<Vec<FileHunks>>> {
        let Some(item) = session.current() else { return Ok(None) };
        let mut out = io::BufWriter::new(io::stdout().lock());
        out.write_all(self.head(session, item, paths).as_bytes())?;
        let files = hunks(session.files(), &item.fix, paths);
        match &files {
            Ok(files) => {
                for file in files {
                    diff::write_file(
                        &mut out,
                        &paths.relative(&file.path),
                        &file.before,
                        &file.after,
                        self.style,
                    )?;
                }
            }
            Err(why) => writeln!(out, "It cannot be applied: {}.", escape_line(why))?,
        }
        out.flush()?;
        session.set_obstacle(files.as_ref().err().cloned());
        Ok(files.ok())
    }

    fn head(&self, session: &Session, item: &Item, paths: &Paths) -> String {
        let fix = &item.fix;
        let outcome = match item.is_unsafe() {
            true => self.paint("unsafe", "31;1"),
            false => self.paint("safe", "32"),
        };
        let (position, codemod) = (session.position(), escape_line(&fix.codemod));
        let title = self.paint(&format!("({position}) {}: {codemod}", item.place()), "1");
        let state = match state(item) {
            "" => String::new(),
            state => format!(", {state}"),
        };
        let mut text = format!("\n{title} ({outcome}{state})\n");
        let owners = session.files().files.get(&fix.path).map(|file| file.owners.join(" "));
        if let Some(owners) = owners.filter(|owners| !owners.is_empty()) {
            text.push_str(&format!("Owners: {}\n", escape_line(&owners)));
        }
        let (before, after) = (escape_line(&fix.queries.before), escape_line(&fix.queries.after));
        text.push_str(&format!("{}\nQueries: {before} -> {after}\n", escape_line(&fix.message)));
        if !fix.hazards.is_empty() {
            text.push_str("Unsafe, because:\n");
        }
        let width = size().map_or(80, |(columns, _)| usize::from(columns)).max(MIN_WIDTH);
        let indented = Options::new(width)
            .initial_indent("  ")
            .subsequent_indent("    ")
            .word_splitter(WordSplitter::NoHyphenation);
        for hazard in &fix.hazards {
            let place = match (&hazard.path, hazard.line) {
                (Some(path), Some(line)) => format!(" ({}:{line})", paths.show(path)),
                (Some(path), None) => format!(" ({})", paths.show(path)),
                _ => String::new(),
            };
            let kind = self.paint(&escape_line(&hazard.kind), "33");
            let reason = format!("{kind}: {}{place}", escape_line(&hazard.message));
            text.push_str(&textwrap::fill(&reason, &indented));
            text.push('\n');
        }
        if fix.unlisted > 0 {
            text.push_str(&format!("  and {} more of these kinds\n", fix.unlisted));
        }
        text
    }

    fn list(&self, session: &Session) -> io::Result<()> {
        let mut text = String::new();
        for (is_current, item) in session.list() {
            let here = if is_current { '>' } else { ' ' };
            let risk = if item.is_unsafe() { " (unsafe)" } else { "" };
            let (place, codemod) = (item.place(), escape_line(&item.fix.codemod));
            text.push_str(&format!("{here} {:7} {place} {codemod}{risk}\n", state(item)));
        }
        self.print(&text)
    }

    /// Open the new lines in the user's editor.
    fn edit(
        &self,
        session: &mut Session,
        paths: &Paths,
        files: &[FileHunks],
        draft: &mut Draft,
    ) -> io::Result<Reply> {
        let refused = |why: &str| Reply {
            say: vec![format!(
                "The edited fix cannot be taken: {}. Press e to go on with it.",
                escape_line(why)
            )],
            then: Then::Ask,
        };
        let Some(item) = session.current() else { return Ok(Reply { say: Vec::new(), then: Then::Finish }) };
        let lines = Lines::new(&item.fix, files);
        // A text belongs to the lines that it was made of.
        let given = lines.text();
        let text = match draft.take() {
            Some((from, text)) if from == given => text,
            _ => given.clone(),
        };
        let text = match self.in_editor(&text) {
            Ok(text) => text,
            Err(error) => {
                let why = format!("The editor failed: {}.", escape_line(&error.to_string()));
                return Ok(Reply { say: vec![why], then: Then::Ask });
            }
        };
        let keep = |draft: &mut Draft| *draft = Some((given, text.clone()));
        let (edits, imports) = match lines.read(&text) {
            Ok(Edited::Same) => return Ok(session.press(Key::Char('y'))),
            Ok(Edited::Nothing) => return Ok(session.press(Key::Char('n'))),
            Ok(Edited::Changed(edits, imports)) => (edits, imports),
            Err(why) => {
                keep(draft);
                return Ok(refused(&why));
            }
        };
        let mut fix = item.fix.clone();
        fix.edits.clone_from(&edits);
        fix.imports.clone_from(&imports);
        if let Err(why) = hunks(session.files(), &fix, paths) {
            keep(draft);
            return Ok(refused(&why));
        }
        let reply = session.take_edited(edits, imports);
        if reply.then == Then::Ask {
            keep(draft);
        }
        Ok(reply)
    }

    /// What the user's editor makes of `text`.
    fn in_editor(&self, text: &str) -> io::Result<String> {
        let mut file = tempfile::Builder::new().prefix("ormend-").suffix(".py").tempfile()?;
        file.write_all(text.as_bytes())?;
        // Closed, as some systems let nobody else write to an open file.
        let file = file.into_temp_path();
        let set = |name| std::env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
        let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
        // As git does: the value may hold arguments and quotes.
        let mut command = if cfg!(windows) {
            let mut words = editor.split_whitespace();
            let mut command = Command::new(words.next().unwrap_or("notepad"));
            command.args(words);
            command
        } else {
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("{editor} \"$@\"")).arg(&editor);
            command
        };
        let status = self.signals.while_another_program_runs(|| command.arg(&file).status())?;
        if !status.success() {
            return Err(io::Error::other(format!("`{editor}` ended with {status}")));
        }
        let bytes = fs::read(&file)?;
        String::from_utf8(bytes).map_err(|_| io::Error::other("what it wrote is not UTF-8"))
    }

    /// The answer to the prompt.
    fn key(&self) -> io::Result<Typed<Key>> {
        let prompt = self.paint(PROMPT.trim_end(), "34;1") + " ";
        loop {
            let pressed = {
                // Before the prompt: what is typed after that was seen is not echoed by the terminal.
                let _raw = Raw::enter(&self.signals)?;
                self.print(&prompt)?;
                self.wait(pressed)?
            };
            let key = match pressed {
                Ok(Pressed::Key(key)) => key,
                Ok(Pressed::Suspend) => {
                    self.print("\n")?;
                    signals::suspend()?;
                    continue;
                }
                Err(signal) => {
                    self.print("\n")?;
                    return Ok(Err(signal));
                }
            };
            match key {
                Key::Char(c) => self.print(&format!("{}\n", escape_line(&c.to_string())))?,
                _ => self.print("\n")?,
            }
            return Ok(Ok(key));
        }
    }

    /// A line that is typed; nothing after Escape.
    fn line(&self, prompt: &str) -> io::Result<Typed<Option<String>>> {
        let result = {
            let _raw = Raw::enter(&self.signals)?;
            self.print(prompt)?;
            self.line_raw(prompt)?
        };
        self.print("\n")?;
        Ok(result)
    }

    fn line_raw(&self, prompt: &str) -> io::Result<Typed<Option<String>>> {
        let mut text = String::new();
        loop {
            let event = match self.wait(Some)? {
                Ok(event) => event,
                Err(signal) => return Ok(Err(signal)),
            };
            match (event.code, event.modifiers) {
                (KeyCode::Char('c'), KeyModifiers::CONTROL) => return Ok(Err(signals::INTERRUPT)),
                (KeyCode::Enter, _) => return Ok(Ok(Some(text))),
                (KeyCode::Esc, _) | (KeyCode::Char('d'), KeyModifiers::CONTROL) => return Ok(Ok(None)),
                (KeyCode::Char(c), KeyModifiers::NONE | KeyModifiers::SHIFT) => {
                    text.push(c);
                    self.print(&escape_line(&c.to_string()))?;
                    continue;
                }
                (KeyCode::Backspace, _) => drop(text.pop()),
                (KeyCode::Char('u'), KeyModifiers::CONTROL) => text.clear(),
                _ => continue,
            }
            // Over itself.
            self.print(&format!("\r\x1b[K{prompt}{}", escape_line(&text)))?;
        }
    }

    /// Wait, in raw mode, for a key that `wanted` makes something of.
    fn wait<T>(&self, wanted: impl Fn(KeyEvent) -> Option<T>) -> io::Result<Typed<T>> {
        loop {
            if let Some(signal) = self.signals.caught() {
                return Ok(Err(signal));
            }
            if poll(TICK)?
                && let Event::Key(key) = read()?
                && key.kind != KeyEventKind::Release
                && let Some(found) = wanted(key)
            {
                return Ok(Ok(found));
            }
        }
    }
}

/// A key at the prompt.
enum Pressed {
    Key(Key),
    Suspend,
}

fn pressed(event: KeyEvent) -> Option<Pressed> {
    let key = match (event.code, event.modifiers) {
        (KeyCode::Char('c'), KeyModifiers::CONTROL) => Key::Interrupt,
        (KeyCode::Char('d'), KeyModifiers::CONTROL) => Key::End,
        (KeyCode::Char('z'), KeyModifiers::CONTROL) => return Some(Pressed::Suspend),
        (KeyCode::Char(c), KeyModifiers::NONE | KeyModifiers::SHIFT) => Key::Char(c),
        (KeyCode::Up, _) => Key::Up,
        (KeyCode::Down, _) => Key::Down,
        _ => return None,
    };
    Some(Pressed::Key(key))
}

fn state(item: &Item) -> &'static str {
    match (item.answer, item.is_edited) {
        (Some(Answer::Take), true) => "edited",
        (Some(Answer::Take), false) => "taken",
        (Some(Answer::Leave), _) => "left",
        (None, _) => "",
    }
}

/// Raw mode, until dropped. Meanwhile a signal does not end the process, which would leave the terminal raw.
struct Raw<'s>(&'s Signals);

impl Raw<'_> {
    fn enter(signals: &Signals) -> io::Result<Raw<'_>> {
        signals.hold(true);
        let raw = Raw(signals);
        enable_raw_mode()?;
        Ok(raw)
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
        self.0.hold(false);
    }
}

//! SIGINT and SIGTERM during a review: they end the process as always, save for the time that they are held.

pub use system::{INTERRUPT, Signals, end_as, suspend};

#[cfg(unix)]
mod system {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGTSTP};
    use signal_hook::flag::{register_conditional_default, register_usize};
    use signal_hook::low_level::emulate_default_handler;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// What Ctrl-C sends.
    pub const INTERRUPT: i32 = SIGINT;

    /// Who listens to them, from its making on.
    pub struct Signals {
        by_default: Arc<AtomicBool>,
        caught: Arc<AtomicUsize>,
    }

    impl Signals {
        /// Start to listen.
        pub fn listen() -> io::Result<Signals> {
            let signals = Signals { by_default: Arc::new(AtomicBool::new(true)), caught: Arc::default() };
            for signal in [SIGINT, SIGTERM] {
                register_conditional_default(signal, Arc::clone(&signals.by_default))?;
                register_usize(signal, Arc::clone(&signals.caught), usize::try_from(signal).unwrap_or(0))?;
            }
            Ok(signals)
        }

        /// Hold them, or let them end the process again.
        pub fn hold(&self, is_held: bool) {
            self.by_default.store(!is_held, Ordering::SeqCst);
        }

        /// The signal that came while it was held.
        pub fn caught(&self) -> Option<i32> {
            match self.caught.load(Ordering::SeqCst) {
                0 => None,
                signal => i32::try_from(signal).ok(),
            }
        }

        /// Ctrl-C is for the other program.
        pub fn while_another_program_runs<T>(&self, run: impl FnOnce() -> T) -> T {
            self.hold(true);
            let result = run();
            let interrupt = usize::try_from(INTERRUPT).unwrap_or(0);
            let _ = self.caught.compare_exchange(interrupt, 0, Ordering::SeqCst, Ordering::SeqCst);
            self.hold(false);
            result
        }
    }

    /// Stop, as Ctrl-Z makes a process, until the shell lets it go on.
    pub fn suspend() -> io::Result<()> {
        emulate_default_handler(SIGTSTP)
    }

    /// End the process as `signal` does. Returns only if that is not possible.
    pub fn end_as(signal: i32) {
        let _ = emulate_default_handler(signal);
    }
}

/// Ctrl-C is a key while one is waited for, and there is nothing to hold.
#[cfg(not(unix))]
mod system {
    use std::io;

    pub const INTERRUPT: i32 = 2;

    /// Who would listen.
    pub struct Signals;

    impl Signals {
        pub fn listen() -> io::Result<Signals> {
            Ok(Signals)
        }

        pub fn hold(&self, _: bool) {}

        pub fn caught(&self) -> Option<i32> {
            None
        }

        pub fn while_another_program_runs<T>(&self, run: impl FnOnce() -> T) -> T {
            run()
        }
    }

    pub fn suspend() -> io::Result<()> {
        Ok(())
    }

    pub fn end_as(_: i32) {}
}

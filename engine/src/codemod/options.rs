//! What the user has set that rewrites depend on.

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Also apply fixes with opt-in hazards.
    pub unsafe_fixes: bool,
    /// Columns after which a line is wrapped.
    pub line_length: usize,
    /// `batch_size=` of bulk writes.
    pub batch_size: u32,
    /// The oldest Django that the project supports.
    pub target_django: (u8, u8),
    /// Models (`app.Model`) whose receivers may be ignored.
    pub assume_no_signals: Vec<String>,
    /// How many passes at most.
    pub max_passes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            unsafe_fixes: false,
            line_length: 88,
            batch_size: 500,
            target_django: (4, 2),
            assume_no_signals: Vec::new(),
            max_passes: 10,
        }
    }
}

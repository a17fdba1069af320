//! Writing Python: names, quotes, parentheses, imports, and layout as black would do it.

mod imports;
mod layout;
mod names;
mod wrap;

pub use imports::{ImportedName, import_name, insert_imports};
pub use layout::{append_call, call, indentation, on_one_line, reindent};
pub use names::{Precedence, fresh_name, parenthesized, quote_of, string_literal};
pub use wrap::fit;

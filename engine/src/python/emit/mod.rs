//! Writing Python: names, quotes, parentheses, imports, and layout as black would do it.

mod doc;
mod fit;
mod imports;
mod layout;
mod lines;
mod names;
mod wrap;

pub use doc::Doc;
pub use fit::fit;
pub use imports::{ImportedName, bound_by_import, import_name, insert_imports};
pub use layout::{append_call, append_calls, call, indentation, on_one_line, reindent};
pub use lines::{end_of_line, end_of_loop, line_with_break, whole_line};
pub use names::{Precedence, fresh_name, is_keyword, numbered, parenthesized, quote_of, string_literal};
pub use wrap::statement;

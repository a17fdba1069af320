//! Guards that more than one codemod asks for: each looks at facts and reports hazards with their place.

pub mod batch;
pub mod callers;
pub mod counted;
pub mod deletion;
pub mod flow;
pub mod found;
pub mod handlers;
pub mod instance;
pub mod integer;
pub mod lazy;
pub mod life;
pub mod loads;
pub mod maker;
pub mod making;
pub mod projection;
pub mod queryset;
pub mod read_before;
pub mod saved_rows;
pub mod taken_out;
pub mod transaction;
pub mod untyped;
pub mod variable;
pub mod views;
pub mod writes;

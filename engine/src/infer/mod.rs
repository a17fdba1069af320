//! Types of expressions, queryset states, function summaries, effects.

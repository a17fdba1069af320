//! Python, no Django: parse, arena, views, scopes, imports, emit.

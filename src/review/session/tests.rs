//! Every key, and what it leaves.

use super::*;
use crate::plan::samples;

/// Seven fixes: `0 a.py exists`, `1 a.py fk-id (unsafe)`, `2 a.py count`, `3 a.py values-list` in the place of 2,
/// `4 b.py exists`, `5 b.py count (unsafe)`, `6 c/views.py exists`.
fn session() -> Session {
    use PlannedOutcome::{Safe, Unsafe};
    let fixes = vec![
        fix("a.py", "exists", Safe, (10, 20)),
        fix("a.py", "fk-id", Unsafe, (30, 40)),
        fix("a.py", "count", Safe, (50, 60)),
        fix("a.py", "values-list", Safe, (55, 70)),
        fix("b.py", "exists", Safe, (10, 20)),
        fix("b.py", "count", Unsafe, (30, 40)),
        fix("c/views.py", "exists", Safe, (10, 20)),
    ];
    of(fixes)
}

fn of(fixes: Vec<PlannedFix>) -> Session {
    let plan = Plan { version: 1, tool: String::new(), packages: Vec::new(), files: BTreeMap::new(), fixes };
    Session::new(plan, &Paths::new("/p".into(), "/p".into()))
}

fn fix(path: &str, codemod: &str, outcome: PlannedOutcome, (start, end): (u32, u32)) -> PlannedFix {
    let edits = vec![edit(path, start, end)];
    PlannedFix {
        codemod: codemod.to_owned(),
        outcome,
        path: path.to_owned(),
        line: start,
        ..samples::fix(edits)
    }
}

fn edit(path: &str, start: u32, end: u32) -> PlannedEdit {
    samples::edit(path, start, end, "x")
}

/// The answers: `y`, `e` for an edited one, `n`, or `.`; and the fix that is asked about.
fn state(session: &Session) -> (String, usize) {
    let answer = |item: &Item| match (item.answer, item.is_edited) {
        (Some(Answer::Take), true) => 'e',
        (Some(Answer::Take), false) => 'y',
        (Some(Answer::Leave), _) => 'n',
        (None, _) => '.',
    };
    (session.items.iter().map(answer).collect(), session.at)
}

fn press(session: &mut Session, keys: &str) -> Reply {
    keys.chars().map(|c| session.press(Key::Char(c))).last().unwrap()
}

/// What is left after `keys`, from the start.
fn after(keys: &str) -> (String, usize) {
    let mut session = session();
    press(&mut session, keys);
    state(&session)
}

fn is(answers: &str, at: usize) -> (String, usize) {
    (answers.to_owned(), at)
}

#[test]
fn y_and_n_go_on_to_the_next() {
    assert_eq!(after("y"), is("y......", 1));
    assert_eq!(after("n"), is("n......", 1));
    // An unsafe one is taken by y.
    assert_eq!(after("ny"), is("ny.....", 2));
    let mut session = session();
    assert_eq!(press(&mut session, "yynnyy").then, Then::Show);
    assert_eq!(press(&mut session, "y"), just(Then::Finish));
    let plan = session.into_plan();
    let selected: Vec<bool> = plan.fixes.iter().map(|fix| fix.selected).collect();
    assert_eq!(selected, [true, true, false, false, true, true, true]);
}

#[test]
fn what_overlaps_is_refused() {
    let mut session = session();
    let reply = press(&mut session, "nnyy");
    assert_eq!(reply, ask("It cannot be taken: it overlaps `count` at a.py:50, which was taken."));
    assert_eq!(state(&session), is("nny....", 3));
    // The other one may be taken once the first is not.
    press(&mut session, "kny");
    assert_eq!(state(&session), is("nnny...", 4));
    // An insertion at the edge meets too, the same place of another file does not.
    use PlannedOutcome::Safe;
    let mut session =
        of(vec![fix("a", "x", Safe, (5, 9)), fix("a", "y", Safe, (9, 9)), fix("b", "z", Safe, (5, 9))]);
    assert_eq!(press(&mut session, "yy").then, Then::Ask);
    assert_eq!(press(&mut session, "ny"), just(Then::Finish));
    // A plan of a stranger may hold anything.
    let mut session = of(vec![fix("a", "x", Safe, (9, 2)), fix("a", "y", Safe, (u32::MAX, 0))]);
    assert_eq!(press(&mut session, "yy"), just(Then::Finish));
}

#[test]
fn a_takes_the_safe_ones_of_the_file() {
    let mut session = session();
    let reply = press(&mut session, "a");
    assert_eq!(
        reply.say,
        [
            "Took 2 fixes of a.py.",
            "Left 1 fix that does not fit what was taken, or the file.",
            "1 unsafe fix left: only `y` takes one.",
        ]
    );
    // The unsafe one is still asked about.
    assert_eq!(state(&session), is("y.yn...", 1));
    // On an unsafe one it changes nothing if nothing else is there.
    let reply = press(&mut session, "a");
    assert_eq!(
        (reply.say.join(" "), reply.then),
        ("Took 0 fixes of a.py. 1 unsafe fix left: only `y` takes one.".to_owned(), Then::Ask)
    );
    assert_eq!(state(&session), is("y.yn...", 1));
    press(&mut session, "u");
    assert_eq!(state(&session), is(".......", 0));
    // Fixes before it, and those with an answer, stay as they are.
    assert_eq!(after("jjnkkka"), is("y.ny...", 1));
    assert_eq!(after("ja"), is("..yn...", 1));
}

#[test]
fn of_two_that_overlap_a_takes_the_one_that_the_plan_prefers() {
    let mut session = session();
    session.items[3].fix.selected = true;
    press(&mut session, "a");
    assert_eq!(state(&session), is("y.ny...", 1));
}

#[test]
fn d_leaves_the_rest_of_the_file() {
    let mut session = session();
    assert_eq!(press(&mut session, "yd").say, ["Left 3 fixes of a.py."]);
    assert_eq!(state(&session), is("ynnn...", 4));
    press(&mut session, "dn");
    assert_eq!(state(&session), is("ynnnnnn", 6));
}

#[test]
fn capitals_are_for_the_codemod() {
    let mut session = session();
    assert_eq!(press(&mut session, "A").say, ["Took 3 fixes of `exists`."]);
    assert_eq!(state(&session), is("y...y.y", 1));
    assert_eq!(press(&mut session, "D").say, ["Left 1 fix of `fk-id`."]);
    let reply = press(&mut session, "A");
    assert_eq!(reply.say, ["Took 1 fix of `count`.", "1 unsafe fix left: only `y` takes one."]);
    assert_eq!(state(&session), is("yny.y.y", 3));
    assert_eq!(after("D"), is("n...n.n", 1));
}

#[test]
fn u_goes_back_over_any_answer() {
    let mut session = session();
    assert_eq!(press(&mut session, "u"), ask("There is no answer to undo."));
    press(&mut session, "yndA");
    assert_eq!(state(&session), is("ynnny.y", 5));
    press(&mut session, "u");
    assert_eq!(state(&session), is("ynnn...", 4));
    press(&mut session, "u");
    assert_eq!(state(&session), is("yn.....", 2));
    // Moves are no answers.
    press(&mut session, "jju");
    assert_eq!(state(&session), is("y......", 1));
    press(&mut session, "u");
    assert_eq!(state(&session), is(".......", 0));
    assert_eq!(press(&mut session, "u").then, Then::Ask);
    // A second answer to one fix is undone alone.
    assert_eq!(after("ykn"), is("n......", 1));
    assert_eq!(after("yknu"), is("y......", 0));
}

#[test]
fn j_and_k_move_without_an_answer() {
    assert_eq!(after("jj"), is(".......", 2));
    assert_eq!(after("yk"), is("y......", 0));
    let mut session = session();
    assert_eq!(session.press(Key::Up), ask("This is the first fix."));
    assert_eq!(session.press(Key::Down), just(Then::Show));
    press(&mut session, "jjjjj");
    assert_eq!(press(&mut session, "j"), ask("This is the last fix."));
    // Behind the last one come those that were passed over.
    press(&mut session, "y");
    assert_eq!(state(&session), is("......y", 0));
}

#[test]
fn a_filter_hides_the_rest() {
    let mut session = session();
    assert_eq!(session.position(), "1/7");
    assert_eq!(session.filter(" count "), just(Then::Show));
    assert_eq!((state(&session), session.position()), (is(".......", 2), "1/2 with `count`".to_owned()));
    assert_eq!(session.list().count(), 2);
    press(&mut session, "j");
    assert_eq!(session.at, 5);
    // A part of the path, and what is hidden is not answered.
    session.filter("a.p");
    assert_eq!(session.at, 0);
    session.filter("exists");
    press(&mut session, "d");
    assert_eq!(state(&session), is("n......", 4));
    assert_eq!(session.filter("\x1b[2J"), ask("No fix has `\\x1b[2J` in its codemod or file."));
    assert_eq!(session.position(), "2/3 with `exists`");
    let reply = press(&mut session, "yy");
    assert_eq!(reply.say, ["No fix with `exists` is left; here are the others."]);
    assert_eq!((state(&session), session.position()), (is("n...y.y", 1), "2/7".to_owned()));
    // Back to an answer that a filter hides.
    session.filter("b.py");
    assert_eq!(session.at, 5);
    press(&mut session, "u");
    assert_eq!((session.at, session.position()), (6, "7/7".to_owned()));
    session.filter("count");
    session.filter("");
    assert_eq!(session.position(), "3/7");
}

#[test]
fn an_edited_fix_has_other_edits() {
    let mut session = session();
    assert_eq!(press(&mut session, "e"), just(Then::Edit));
    let import = PlannedImport { path: "a.py".into(), module: "django.db.models".into(), name: "F".into() };
    let edits = vec![edit("a.py", 11, 12)];
    session.take_edited(edits.clone(), vec![import.clone()]);
    assert_eq!(state(&session), is("e......", 1));
    assert_eq!(session.items[0].fix.edits, edits);
    press(&mut session, "u");
    assert_eq!(state(&session), is(".......", 0));
    assert_eq!(session.items[0].fix.edits, [edit("a.py", 10, 20)]);
    assert!(session.items[0].fix.imports.is_empty());
    // What it became may overlap now, and then nothing changes.
    press(&mut session, "jjy");
    press(&mut session, "kkk");
    let reply = session.take_edited(vec![edit("a.py", 0, 51)], Vec::new());
    assert_eq!(reply, ask("It cannot be taken: it overlaps `count` at a.py:50, which was taken."));
    assert_eq!(session.items[0].fix.edits, [edit("a.py", 10, 20)]);
    session.take_edited(edits.clone(), vec![import]);
    assert_eq!(
        session.summary()[1..3],
        ["  count        1 taken, 1 left", "  exists       1 taken (1 edited), 2 left"]
    );
    let plan = session.into_plan();
    assert_eq!((plan.fixes[0].selected, &plan.fixes[0].edits), (true, &edits));
}

#[test]
fn what_cannot_be_applied_is_not_taken() {
    let mut session = session();
    session.set_obstacle(Some("`a\x1b.py` changed".to_owned()));
    assert_eq!(press(&mut session, "y"), ask("It cannot be taken: `a\\x1b.py` changed."));
    assert_eq!(press(&mut session, "e"), ask("It cannot be taken: `a\\x1b.py` changed."));
    press(&mut session, "a");
    assert_eq!(state(&session), is("n.yn...", 1));
    press(&mut session, "u");
    session.set_obstacle(None);
    press(&mut session, "y");
    assert_eq!(state(&session), is("y......", 1));
}

#[test]
fn the_end() {
    let mut session = session();
    assert_eq!(press(&mut session, "?"), just(Then::Help));
    assert_eq!(press(&mut session, "x"), just(Then::Help));
    assert_eq!(press(&mut session, "l"), just(Then::List));
    assert_eq!(press(&mut session, "/"), just(Then::Filter));
    assert_eq!(session.press(Key::Interrupt), just(Then::Abort));
    assert_eq!(session.press(Key::End), just(Then::Finish));
    assert_eq!(press(&mut session, "ynq"), just(Then::Finish));
    assert_eq!(
        session.summary(),
        [
            "Took 1 of 7 fixes.",
            "  count        0 taken, 2 left",
            "  exists       1 taken, 2 left",
            "  fk-id        0 taken, 1 left",
            "  values-list  0 taken, 1 left",
        ]
    );
    assert_eq!(session.into_plan().fixes.iter().filter(|fix| fix.selected).count(), 1);
    assert_eq!(of(Vec::new()).press(Key::Char('y')).then, Then::Finish);
}

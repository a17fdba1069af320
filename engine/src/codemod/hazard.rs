//! What could make a rewrite change behaviour. Hazards are data: a codemod reports them with the place that
//! causes them, and the engine, never the codemod, derives the outcome.

use crate::text::Site;
use serde::{Deserialize, Serialize};

/// One obstacle to one fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hazard {
    /// Which.
    pub kind: HazardKind,
    /// The place that causes it, when there is one.
    pub site: Option<Site>,
    /// What it is about (a name, a model, an expression), put into the kind's message.
    pub subject: String,
}

/// How much a hazard weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The fix is offered, applied only with `--unsafe-fixes`.
    OptIn,
    /// No fix is offered.
    Blocking,
}

macro_rules! hazards {
    ($($(#[$doc:meta])* $name:ident, $weight:ident, $message:literal;)*) => {
        /// Every obstacle the project knows. `{}` in a message stands for the hazard's subject.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum HazardKind { $($(#[$doc])* $name,)* }

        impl HazardKind {
            /// Every kind, in order of declaration.
            pub const ALL: &'static [HazardKind] = &[$(HazardKind::$name,)*];

            /// Its name, as shown and as written in JSON.
            pub fn name(self) -> &'static str {
                match self { $(HazardKind::$name => stringify!($name),)* }
            }

            /// Whether it only asks for consent or forbids the fix.
            pub fn weight(self) -> Weight {
                match self { $(HazardKind::$name => Weight::$weight,)* }
            }

            /// The message with a `{}` for the subject.
            pub fn template(self) -> &'static str {
                match self { $(HazardKind::$name => $message,)* }
            }
        }
    };
}

hazards! {
    // Writing in bulk.
    /// The model, a mixin or a proxy overrides `save()`; bulk writes do not call it.
    CustomSave, OptIn, "`{}` overrides save(), which a bulk write does not call";
    /// A pre_save/post_save (or post_init) receiver would not be called.
    SaveReceiver, OptIn, "{} receives signals of this model, which the rewritten code does not send";
    /// The manager or queryset overrides the method that is replaced or written.
    CustomManagerMethod, Blocking, "`{}` is overridden here";
    /// `bulk_create` refuses models with a multi-table parent.
    MultiTableParent, Blocking, "`{}` inherits from a concrete model, which bulk_create() refuses";
    /// The primary key of a created instance is used afterwards, and the backend may not return it.
    PrimaryKeyNeeded, Blocking, "the primary key of `{}` is needed before the bulk write has run";
    /// The instance or its list is used after the loop or inside it.
    InstanceUsedAfterwards, Blocking, "`{}` is used after it was written";
    /// The loop reads rows of the table that it writes.
    ReadsItsOwnWrites, Blocking, "`{}` reads what the loop writes";
    /// The loop writes several tables whose order is observable.
    InterleavedWrites, Blocking, "`{}` also writes inside the loop, and the order is observable";
    /// A side effect outside the database stands between the writes.
    OutsideEffect, OptIn, "`{}` has effects outside the database between the writes";
    /// Unknown code is called between the statements that are merged.
    UnknownCall, Blocking, "`{}` cannot be resolved and may read or write the same rows";
    /// A handler around the statement depends on where an exception is raised.
    HandlerAround, Blocking, "an exception handler here depends on which statement raises";
    /// The loop may leave early after some writes.
    EarlyExit, Blocking, "`{}` leaves the loop after some rows were written";
    /// The field's own hooks (file content, auto_now, custom pre_save, order_with_respect_to) do not run alike.
    FieldHook, Blocking, "field `{}` does more than store its value when the instance is saved";
    /// An arithmetic operand is not provably an integer.
    UnprovenOperand, Blocking, "`{}` is not provably an integer, and the database may compute another value";
    /// The field is not of a kind on which Python's and the database's arithmetic agree.
    FieldArithmetic, Blocking, "field `{}` is not an integer column, and the database may compute another value";
    /// The field may be NULL: Python raises, SQL gives NULL.
    NullableField, Blocking, "field `{}` may be NULL, where Python would raise and the database gives NULL";
    /// The attribute is read after it became an expression.
    ValueReadAfterwards, Blocking, "`{}` is read afterwards and would be an expression";
    /// The instance carries other unsaved changes, or they cannot be ruled out.
    OtherUnsavedChanges, Blocking, "`{}` may carry other unsaved changes, which save() would have written";
    /// The instance is not provably saved.
    UnsavedInstance, Blocking, "`{}` is not provably a saved row";
    /// Validation sees an expression instead of a number.
    ValidationSkipped, Blocking, "`{}` validates the number that would become an expression";

    /// Something may change the row between its load and its save.
    StaleValue, Blocking, "`{}` may change the row between its load and its save";
    /// A test of the number as it was read decides whether it changes.
    DecidedBefore, OptIn, "`{}` decides by the number that was read; a lock (select_for_update) keeps it true, an expression does not";
    /// `save()` is still called, and what runs during it would see an expression.
    SaveSeesExpression, OptIn, "`{}` runs during save() and would see an expression instead of a number";
    /// Two variables may hold one row.
    SameRow, OptIn, "{} may be one row, where the later save() undoes the earlier";
    /// `save()` would update a row that exists already.
    ExistingRow, Blocking, "`{}` may be a row that exists, which save() would update";
    /// A mutable object that the loop changes is given to every row.
    SharedValue, Blocking, "`{}` is changed while the loop runs, and every row would get its last state";
    /// The instance or queryset may belong to another database.
    OtherDatabase, Blocking, "`{}` may come from another database than the default one";
    /// A transaction ends inside the loop.
    TransactionInside, Blocking, "`{}` ends a transaction inside the loop";

    // Updating rows.
    /// The instance or the rows are handed in or held by others, and not all who do so are known.
    HandedIn, OptIn, "`{}` is handed in by code that is not all known: it may be unsaved, changed before, there twice, or looked at later";
    /// The same row may come more than once, with other values.
    RepeatedRow, Blocking, "`{}` may give one row more than once, and the last save() would count";
    /// Rows that are written one by one may pass a unique constraint that one statement breaks.
    UniqueColumn, Blocking, "`{}` is unique, and whether it holds depends on the order of the rows";
    /// Multi-table inheritance: the column stands in the table of a parent model.
    ParentColumn, Blocking, "field `{}` stands in the table of a parent model";
    /// The variable of a loop that goes away is read later.
    LoopVariableUsed, Blocking, "`{}` is used after the loop";
    /// Nothing says that an operand is an integer, and nothing says that it is none.
    AssumedInteger, OptIn, "`{}` is taken for an integer, and nothing says that it is one";

    // Deleting rows, and links between rows.
    /// The model overrides `delete()`, and its own `delete()` always follows.
    CustomDelete, OptIn, "`{}` overrides delete(), which QuerySet.delete() does not call";
    /// The model overrides `delete()` and may leave the row where it is.
    KeptRow, Blocking, "`{}` may keep the row, which QuerySet.delete() takes away";
    /// A receiver of pre_delete or post_delete, of the model or of one that the cascade reaches.
    DeleteReceiver, OptIn, "`{}` hears of every row before the first one goes, where the loop told it row by row";
    /// PROTECT or RESTRICT inside of what is deleted: the loop's order decides whether it raises.
    ProtectedRows, Blocking, "`{}` protects rows from rows that are deleted with them, and the order decides";
    /// `on_delete` is a function of the project's, or `SET()` calls one.
    OnDeleteHook, Blocking, "`{}` runs code of its own for each row that is deleted";
    /// A row that is missing makes `get()` raise.
    MissingRow, OptIn, "`{}` raises for a row that is missing, where a filter passes over it";
    /// A receiver of m2m_changed is told once of all links.
    LinkReceiver, OptIn, "`{}` hears of each link on its own, and would be told once of all of them";
    /// The order in which rows were linked can be seen.
    LinkOrder, OptIn, "`{}` may show in which order the rows were linked";
    /// For a single row the collector loads again what the loop had loaded.
    SingleRow, OptIn, "rows of other tables go with `{}`, so a single row costs one query more than before";

    // Transactions and locks.
    /// A raise on purpose stands behind a write, whose row it would take away.
    RaisesAfterWrite, OptIn, "`{}` may raise after a write, whose row would no longer be kept";
    /// A handler around the writes goes on after a failure.
    HandlerContinues, OptIn, "the handler here goes on after a failure, and the writes before the failure would be undone";
    /// Something waits for the end of a transaction, and now runs at once.
    CommitHook, OptIn, "what `{}` is given would wait for the end of the transaction";
    /// What is called cannot be resolved.
    UnknownInTransaction, OptIn, "`{}` cannot be resolved and would run inside the transaction";
    /// Code that begins or ends transactions itself, or that the database refuses inside one.
    TransactionControl, Blocking, "`{}` cannot run inside a transaction, or ends it";
    /// Control leaves the function while the transaction would be open, or the function is a coroutine.
    OpenAcrossSuspension, Blocking, "`{}` cannot stand inside a transaction";
    /// A swallowed error rolled the whole block back.
    KeepsRows, OptIn, "no query follows after `{}` before the block ends: its rows, which Django rolls back now, would be kept";
    /// Something slow runs while a row is locked.
    LockHeld, OptIn, "`{}` runs while the row is locked, and others who want the row wait for it";
    /// Several rows are locked by one transaction.
    LockOrder, OptIn, "`{}` is locked by the same transaction, and code that locks in another order can deadlock with it";
    /// A lock needs a transaction.
    NoTransaction, Blocking, "no transaction is certainly open where `{}` is loaded";
    /// A row that is computed from the last one, or from all of them.
    AddedRows, Blocking, "a lock on `{}` does not hold rows that others add meanwhile: a unique constraint, or a lock on a row that all of them share, does";
    /// The instance was loaded by somebody else, without a lock.
    LoadedElsewhere, Blocking, "`{}` was loaded elsewhere, and would have to be read again with a lock";

    // Life of a queryset.
    /// The rows may have been loaded by whoever made the queryset.
    MayBeLoaded, Blocking, "the rows of `{}` may be loaded already, so the rewrite could add a query";
    /// Rows in memory would answer where a query of its own saw the rows as they are.
    StaleRows, Blocking, "the rows of `{}` may be prefetched, and would answer for those that are there now";
    /// The same queryset object is evaluated elsewhere, so its result cache already saves the query.
    ResultCacheUsed, Blocking, "the rows of this queryset are used here as well, so the rewrite would add a query";
    /// Code puts something else in the place of the function that gives the rows.
    ReplacedMethod, Blocking, "`{}` is replaced here while the program runs, and need not give these rows";
    /// The queryset object leaves the function.
    QuerySetEscapes, Blocking, "the queryset leaves this function, and whoever gets it may use its rows";
    /// A queryset, manager or iterable class changes rows or counting.
    CustomQuerySet, Blocking, "`{}` changes how rows are read";
    /// The queryset was combined, sliced, grouped or made raw in a way that the rewrite does not keep.
    QuerySetShape, Blocking, "the rewrite means something else on a queryset after `{}`";
    /// `only()` or `defer()` leaves out a column that the rewrite needs.
    DeferredColumns, Blocking, "`{}` leaves out columns that the rewrite would need";
    /// `select_for_update()` locks joined rows too, and PostgreSQL refuses it on a nullable join.
    LockedRows, Blocking, "select_for_update() would also lock, or fail to lock, the rows joined for `{}`";
    /// A bare `select_related()` would be replaced.
    BareSelectRelated, Blocking, "select_related() without names is already called here";
    /// A relation to several rows is named in `select_related()`: no row is ever loaded.
    RefusedJoin, Blocking, "select_related() is given `{}`, which leads to several rows, and Django raises a FieldError";
    /// Raw SQL with unqualified columns may become ambiguous after a join.
    RawSql, Blocking, "raw SQL here may name a column that the join makes ambiguous";

    // Eager loading.
    /// Something in the loop may write the related table, so that an eager copy is stale.
    StaleCopy, Blocking, "`{}` may change the related rows while the loop runs";
    /// Async code takes the error of a relation that is read lazily, which Django raises there.
    LazyReadCaught, OptIn, "`{}` takes the error that Django raises where async code reads a relation lazily";
    /// Other code that gets rows of the queryset may write the related table while it holds them.
    StaleElsewhere, OptIn, "`{}` may change the related rows while other code holds rows of this queryset";
    /// An instance is changed that a prefetch hands out again, for another read or another row.
    SharedInstance, Blocking, "`{}` changes an instance that the prefetch would hand out again";
    /// The related model's base manager filters or annotates.
    RelatedBaseManager, Blocking, "`{}` sets base_manager_name, which a join does not use";
    /// The class of the field reads its relation in its own way.
    RelatedAccessor, Blocking, "`{}` decides how the relation is read, which eager loading passes by";
    /// The foreign key has no constraint, so a join may drop rows.
    NoConstraint, Blocking, "`{}` has no database constraint, so a join may drop rows";
    /// The related instance is watched when it is made.
    WatchedInit, OptIn, "`{}` runs when an instance of the related model is made";

    /// So much comes along that only who knows how many rows there are can tell whether it pays.
    WideLoad, OptIn, "{}, which is more than is loaded without being asked for";

    /// Code that cannot be resolved may write the related rows.
    UnknownWrite, OptIn, "`{}` cannot be resolved and may change the related rows while the loop runs";
    /// A base class or a manager is not known.
    UnknownBase, OptIn, "`{}` comes from code that is not known";
    /// No row certainly reads the relation.
    RarelyRead, OptIn, "`{}` is only read under a condition: where no row meets it, the prefetch is one query more";
    /// The same class runs for another model.
    OtherModel, Blocking, "`{}` makes the same code run for another model, which need not have the relation";
    /// Rows of the queryset are loaded for something that reads none of it.
    LoadedWithout, OptIn, "`{}` loads rows as well, and would run the prefetch for nothing";
    /// Code that may have the rows loads a relation of theirs by hand, and leaves alone what is loaded.
    FetchedByHand, Blocking, "`{}` may be loaded for these rows by hand, which counts on their coming without it";
    /// A path goes on behind a generic foreign key.
    GenericTarget, Blocking, "what `{}` leads to may be of any model, which need not have the rest of the path";
    /// A generic foreign key is read.
    GenericRows, OptIn, "what `{}` leads to may be of any model, and what is done with it is not followed: rows that lead to one row would share its instance";
    /// The base manager of some model may give rows of another class, which a prefetch does not find.
    GenericManager, Blocking, "`{}` sets base_manager_name, and rows that are of another class then are not found by a prefetch";
    /// Another reader of the same queryset reads nothing of it.
    SharedQuerySet, OptIn, "`{}` uses the same queryset and does not read the relation";

    /// Rows go where it is not known which of their relations are read.
    UnseenReader, OptIn, "`{}` gets the rows, and may read relations that would no longer be loaded with them";

    // Names in paths.
    /// It is not certain which name was meant.
    NameUnclear, Blocking, "what was meant is not certain: {}";
    /// The only name that is nearly the same, which is still a guess.
    GuessedName, OptIn, "`{}` is the only name like it, and still a guess";
    // Counting with the rows.
    /// What counts may get rows of other querysets, which have no annotation.
    SharedReader, Blocking, "`{}` may get rows of other querysets, too, which would not have what it reads then";
    /// A template counts; templates are not edited.
    TemplateReader, Blocking, "`{}` stands in a template, which is not edited: it would read an annotation of the rows";
    /// The manager of the related model gives other rows than a join.
    RelatedManager, Blocking, "`{}` decides which rows of the relation there are";
    /// The same two rows may be linked twice.
    RepeatedLink, Blocking, "`{}` may link two rows twice, which would be counted once";
    /// The order that the model gives is dropped by GROUP BY, and cannot be written out.
    LostOrder, Blocking, "`{}` orders the rows, and a query that groups drops that order";
    /// Several relations are joined before their rows are counted.
    MultipliedRows, OptIn, "`{}` are joined together, and the database goes over every combination of their rows";
    /// Rows are loaded for their number alone.
    RowsOnlyCounted, OptIn, "the rows of `{}` are only counted here, and would all be loaded for that";
    /// All attributes of a row are looked at.
    AttributesSeen, Blocking, "`{}` sees every attribute of a row, and what is loaded with it among them";
    /// Only some rows are asked.
    RarelyCounted, OptIn, "`{}` is only counted under a condition, and would be counted for every row";
    /// What is asked for may change from row to row, or goes over other tables.
    RowCondition, Blocking, "`{}` cannot be asked once for all rows";
    /// Where a filter is asked for before the loop, a value that it cannot take raises before the first row, and where there is none.
    RefusedValue, OptIn, "`{}` may be given a value that it refuses, which would raise before the first row, and where there is none";

    /// The rows of a relation are asked for plainly as well, so that its prefetch has to stay.
    ReadPlainly, Blocking, "`{}` reads what is prefetched, so the prefetch has to stay as it is";
    /// What the relation is asked for is not followed, or its result is used as a queryset.
    QueryNeeded, Blocking, "`{}` is used as more than rows to go over, so a list cannot take its place";

    // Projection.
    /// The attribute is not the plain value of a column.
    NotAColumn, Blocking, "`{}` is not the plain value of a column";
    /// The model makes instances in its own way.
    CustomInstance, Blocking, "`{}` runs whenever an instance is made";
    /// A foreign key leads to nothing: its object is None, which has no key, and the column is None.
    NullableKey, OptIn, "`{}` may be None, of which the key raises an AttributeError where the column gives None";
    /// The object behind a foreign key may be missing, or is not given out by the base manager.
    DanglingKey, Blocking, "`{}` may lead to no row, which raises where the key alone does not";
    /// The key, the object, or the way to them is assigned in the function.
    KeyChanged, Blocking, "`{}` is assigned here, and the key and the object may differ";
    /// A row that is missing raises another exception than before.
    OtherError, OptIn, "`{}` raises DoesNotExist for a row that is missing, where the dict raises a KeyError";
    /// Rounds of a loop may need no row, or end before the last.
    LoadsMore, OptIn, "`{}` may leave rows out, which would all be loaded before the loop";
    /// Two rounds of a loop may have one instance, which is changed.
    SharedRow, Blocking, "`{}` changes a row that another round may get as well";
    /// What a loop goes through changes while it runs, or can be gone through only once.
    ChangingSource, Blocking, "`{}` cannot be gone through before the loop, to know its keys";
    /// The list is changed or needed as a list.
    ListNeeded, Blocking, "`{}` needs a list";

    // Existence.
    /// The model defines its own truth value.
    CustomTruth, Blocking, "`{}` decides the truth of an instance";
    /// The lookup may raise where the test would not.
    LookupMayRaise, Blocking, "`{}` may raise, which the test does not";
    /// A parameter that is compared with a row may be None, whatever its annotation says.
    MayBeNone, OptIn, "`{}` may be None, whatever its annotation says, and None has no key";
    /// A lazy user is loaded although no row is compared with it.
    LazyUser, OptIn, "nothing has looked at `{}` before: the session and the user are loaded for it even if there is no row to compare with";
    /// The compared value may be None or of another type than the column.
    ValueMayDiffer, Blocking, "`{}` may be None or of another type than the column";

    // Conditions.
    /// The type of what a column is compared with is not known, or its digits.
    OperandType, OptIn, "`{}` may be of another type or precision than the column, which Python calls unequal and the database converts";
    /// A collection that is as long as a table is given to a query, which takes only so many values.
    ManyValues, OptIn, "`{}` holds a value for each row of a queryset, and a query takes only so many (some databases 65 535, or fewer)";
    /// The database compares text by rules of its own.
    DatabaseText, OptIn, "`{}` is compared by the rules of the database, which tell upper from lower case or sort in another way than Python";
    /// A moment's day or hour depends on the time zone.
    TimeZone, OptIn, "`{}` is a part of the moment in UTC, and a lookup takes it in the current time zone";

    // Aggregating.
    /// Decimals and floats are added, stored or rounded in another way, and zero has another type.
    OtherDigits, OptIn, "`{}` is no integer: the database may give other digits, and a zero of another type";
    /// `min()` and `max()` of nothing.
    NoRows, OptIn, "`{}` raises a ValueError where there are no rows, and the database gives None";
    /// A dict has the order in which its keys came.
    GroupOrder, OptIn, "`{}` orders the rows, and thereby the keys, which the database would give in another order";

    // Rewriting itself.
    /// A comment inside the rewritten span cannot be kept.
    CommentLost, Blocking, "the comment here could not be kept";
    /// A name that must be imported is shadowed.
    ImportShadowed, Blocking, "`{}` is already another name here";
    /// The type is not known well enough.
    UnknownType, Blocking, "the type of `{}` is not known";
    /// The code cannot be rewritten because there is no place that can be edited.
    NoPlaceToEdit, Blocking, "the queryset is built where it cannot be edited: {}";
    /// Several statements stand on one line, of which only some would move.
    SharesLine, Blocking, "other code stands on this line";
    /// The file belongs to a region that did not parse.
    SyntaxError, Blocking, "this statement did not parse";
}

impl Hazard {
    /// The message, with the subject filled in.
    pub fn message(&self) -> String {
        self.kind.template().replace("{}", &self.subject)
    }
}

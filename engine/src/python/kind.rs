//! Node kinds and fields of the arena, named after Python's `ast` where it has a name for the thing.

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $($text:literal)|+;)*) => {
        /// The kind of an arena node.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* #[allow(missing_docs)] $name,)*
        }

        impl Kind {
            /// The kind for a node type of the grammar; `None` for punctuation, which is not kept.
            pub(super) fn from_grammar(name: &str) -> Option<Kind> {
                match name {
                    $($($text)|+ => Some(Kind::$name),)*
                    _ => None,
                }
            }

            /// The kind that `kind as u8` is `number` of.
            pub(super) fn of(number: u8) -> Option<Kind> {
                const ALL: &[Kind] = &[$(Kind::$name),*];
                ALL.get(usize::from(number)).copied()
            }
        }
    };
}

kinds! {
    Module = "module";
    // Statements.
    Import = "import_statement";
    ImportFrom = "import_from_statement" | "future_import_statement";
    AliasedImport = "aliased_import";
    WildcardImport = "wildcard_import";
    RelativeImport = "relative_import";
    ImportPrefix = "import_prefix";
    DottedName = "dotted_name";
    PrintStatement = "print_statement";
    ExecStatement = "exec_statement";
    Assert = "assert_statement";
    ExprStatement = "expression_statement";
    Return = "return_statement";
    Delete = "delete_statement";
    Raise = "raise_statement";
    Pass = "pass_statement";
    Break = "break_statement";
    Continue = "continue_statement";
    If = "if_statement";
    Elif = "elif_clause";
    Else = "else_clause";
    Match = "match_statement";
    MatchCase = "case_clause";
    CasePattern = "case_pattern";
    For = "for_statement";
    While = "while_statement";
    Try = "try_statement";
    ExceptHandler = "except_clause" | "except_group_clause";
    Finally = "finally_clause";
    With = "with_statement";
    WithClause = "with_clause";
    WithItem = "with_item";
    FunctionDef = "function_definition";
    ClassDef = "class_definition";
    DecoratedDef = "decorated_definition";
    Decorator = "decorator";
    Block = "block";
    Global = "global_statement";
    Nonlocal = "nonlocal_statement";
    TypeAlias = "type_alias_statement";
    Assign = "assignment";
    AugAssign = "augmented_assignment";
    // Parameters and arguments.
    Parameters = "parameters" | "lambda_parameters";
    DefaultParameter = "default_parameter";
    TypedParameter = "typed_parameter";
    TypedDefaultParameter = "typed_default_parameter";
    SplatPattern = "list_splat_pattern";
    DictSplatPattern = "dictionary_splat_pattern";
    KeywordSeparator = "keyword_separator";
    PositionalSeparator = "positional_separator";
    Arguments = "argument_list";
    KeywordArgument = "keyword_argument";
    TypeParameters = "type_parameter";
    // Patterns.
    PatternList = "pattern_list";
    TuplePattern = "tuple_pattern";
    ListPattern = "list_pattern";
    AsPattern = "as_pattern";
    AsPatternTarget = "as_pattern_target";
    UnionPattern = "union_pattern";
    DictPattern = "dict_pattern";
    KeywordPattern = "keyword_pattern";
    StarPattern = "splat_pattern";
    ClassPattern = "class_pattern";
    ComplexPattern = "complex_pattern";
    // Expressions.
    Name = "identifier";
    Attribute = "attribute";
    Call = "call";
    Subscript = "subscript";
    Slice = "slice";
    Paren = "parenthesized_expression" | "parenthesized_list_splat";
    ExprList = "expression_list";
    Tuple = "tuple";
    List = "list";
    Set = "set";
    Dict = "dictionary";
    Pair = "pair";
    Starred = "list_splat";
    DictSplat = "dictionary_splat";
    ListComp = "list_comprehension";
    SetComp = "set_comprehension";
    DictComp = "dictionary_comprehension";
    GeneratorExp = "generator_expression";
    CompFor = "for_in_clause";
    CompIf = "if_clause";
    IfExp = "conditional_expression";
    BoolOp = "boolean_operator";
    BinOp = "binary_operator";
    UnaryOp = "unary_operator";
    Not = "not_operator";
    Compare = "comparison_operator";
    Lambda = "lambda";
    NamedExpr = "named_expression";
    Await = "await";
    Yield = "yield";
    Str = "string";
    ConcatStr = "concatenated_string";
    StrStart = "string_start";
    StrContent = "string_content";
    StrEnd = "string_end";
    EscapeSequence = "escape_sequence";
    EscapeInterpolation = "escape_interpolation";
    Interpolation = "interpolation" | "format_expression";
    FormatSpec = "format_specifier";
    Conversion = "type_conversion";
    Int = "integer";
    Float = "float";
    True = "true";
    False = "false";
    None = "none";
    Ellipsis = "ellipsis";
    Type = "type";
    GenericType = "generic_type";
    UnionType = "union_type";
    ConstrainedType = "constrained_type";
    MemberType = "member_type";
    SplatType = "splat_type";
    // Extras.
    Comment = "comment";
    LineContinuation = "line_continuation";
    Error = "ERROR";
    /// A named node of a kind that this table does not know.
    Unknown = "\0unknown";
    // Tokens that carry meaning. `async`, `not in` and `+=` are anonymous in the grammar; without them
    // `async for` would read as `for`.
    Async = "async";
    From = "from";
    And = "and";
    Or = "or";
    Is = "is";
    IsNot = "is not";
    In = "in";
    NotIn = "not in";
    Lt = "<";
    LtE = "<=";
    Gt = ">";
    GtE = ">=";
    Eq = "==";
    NotEq = "!=" | "<>";
    Add = "+";
    Sub = "-";
    Mult = "*";
    Div = "/";
    FloorDiv = "//";
    Mod = "%";
    Pow = "**";
    MatMult = "@";
    BitOr = "|";
    BitAnd = "&";
    BitXor = "^";
    LShift = "<<";
    RShift = ">>";
    Invert = "~";
    AddAssign = "+=";
    SubAssign = "-=";
    MultAssign = "*=";
    DivAssign = "/=";
    FloorDivAssign = "//=";
    ModAssign = "%=";
    PowAssign = "**=";
    MatMultAssign = "@=";
    BitOrAssign = "|=";
    BitAndAssign = "&=";
    BitXorAssign = "^=";
    LShiftAssign = "<<=";
    RShiftAssign = ">>=";
}

impl Kind {
    /// Whether this is an operator or keyword token rather than a piece of syntax with a value.
    pub fn is_token(self) -> bool {
        self >= Kind::Async
    }

    /// Whether this is a comment or a line continuation, which may stand anywhere.
    pub fn is_extra(self) -> bool {
        matches!(self, Kind::Comment | Kind::LineContinuation)
    }

    /// Whether this is a comprehension or generator expression.
    pub fn is_comprehension(self) -> bool {
        matches!(self, Kind::ListComp | Kind::SetComp | Kind::DictComp | Kind::GeneratorExp)
    }

    /// Whether this node is a statement: a direct child of a module or block.
    pub fn is_statement(self) -> bool {
        matches!(
            self,
            Kind::Import
                | Kind::ImportFrom
                | Kind::PrintStatement
                | Kind::ExecStatement
                | Kind::Assert
                | Kind::ExprStatement
                | Kind::Return
                | Kind::Delete
                | Kind::Raise
                | Kind::Pass
                | Kind::Break
                | Kind::Continue
                | Kind::If
                | Kind::Match
                | Kind::For
                | Kind::While
                | Kind::Try
                | Kind::With
                | Kind::FunctionDef
                | Kind::ClassDef
                | Kind::DecoratedDef
                | Kind::Global
                | Kind::Nonlocal
                | Kind::TypeAlias
        )
    }
}

macro_rules! fields {
    ($($name:ident = $text:literal;)*) => {
        /// The field of the parent in which a node stands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Field {
            None,
            $($name,)*
        }

        impl Field {
            pub(super) fn from_grammar(name: &str) -> Field {
                match name {
                    $($text => Field::$name,)*
                    _ => Field::None,
                }
            }

            /// The field that `field as u8` is `number` of.
            pub(super) fn of(number: u8) -> Option<Field> {
                const ALL: &[Field] = &[Field::None, $(Field::$name),*];
                ALL.get(usize::from(number)).copied()
            }
        }
    };
}

fields! {
    Alias = "alias";
    Alternative = "alternative";
    Argument = "argument";
    Arguments = "arguments";
    Attribute = "attribute";
    Body = "body";
    Cause = "cause";
    Condition = "condition";
    Consequence = "consequence";
    Definition = "definition";
    Expression = "expression";
    FormatSpecifier = "format_specifier";
    Function = "function";
    Guard = "guard";
    Key = "key";
    Left = "left";
    ModuleName = "module_name";
    Name = "name";
    Object = "object";
    Operator = "operator";
    Operators = "operators";
    Parameters = "parameters";
    ReturnType = "return_type";
    Right = "right";
    Subject = "subject";
    Subscript = "subscript";
    Superclasses = "superclasses";
    Type = "type";
    TypeConversion = "type_conversion";
    TypeParameters = "type_parameters";
    Value = "value";
}

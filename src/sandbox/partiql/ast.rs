//! What a statement says, once its parameters are bound.

use std::collections::HashMap;

use rustack_dynamodb_model::AttributeValue;

/// An item, or a key: attribute names and their values.
pub type Item = HashMap<String, AttributeValue>;

/// One step of a document path.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A member of a map, or the attribute itself when it is the first step.
    Name(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// A document path such as `steps[0].outcome`; never empty.
pub type Path = Vec<Step>;

/// Something with a value, in `SET` and in conditions.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// The value found at a path.
    Path(Path),
    /// A literal or a bound parameter.
    Value(AttributeValue),
    /// `a + b`.
    Plus(Box<Operand>, Box<Operand>),
    /// `a - b`.
    Minus(Box<Operand>, Box<Operand>),
    /// A function with a value: `size`, `list_append`, `if_not_exists`, `set_add`, `set_delete`.
    Call(String, Vec<Operand>),
}

/// A comparison, as DynamoDB's condition expressions write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What a `WHERE` clause asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Two operands compared.
    Compare(Operand, Comparison, Operand),
    /// `a BETWEEN low AND high`, both ends included.
    Between(Operand, Operand, Operand),
    /// `a IN [b, ...]`.
    In(Operand, Vec<Operand>),
    /// A function that is true or false: `begins_with`, `contains`, `attribute_exists`, `attribute_not_exists`,
    /// `attribute_type`. `IS MISSING` and `IS NULL` are written this way too.
    Call(String, Vec<Operand>),
    /// Both hold.
    And(Box<Condition>, Box<Condition>),
    /// Either holds.
    Or(Box<Condition>, Box<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

/// What `RETURNING` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returning {
    /// `ALL OLD *`
    AllOld,
    /// `ALL NEW *`
    AllNew,
    /// `MODIFIED OLD *`
    ModifiedOld,
    /// `MODIFIED NEW *`
    ModifiedNew,
}

/// A whole statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `INSERT INTO "table" VALUE {...}`
    Insert {
        /// The table.
        table: String,
        /// The new item.
        item: Item,
    },
    /// `UPDATE "table" SET ... REMOVE ... WHERE ... RETURNING ...`
    Update {
        /// The table.
        table: String,
        /// Assignments, in order.
        set: Vec<(Path, Operand)>,
        /// Paths to remove.
        remove: Vec<Path>,
        /// The `WHERE` clause: the key, and conditions.
        filter: Condition,
        /// What to give back.
        returning: Option<Returning>,
    },
    /// `DELETE FROM "table" WHERE ... RETURNING ALL OLD *`
    Delete {
        /// The table.
        table: String,
        /// The `WHERE` clause: the key, and conditions.
        filter: Condition,
        /// What to give back.
        returning: Option<Returning>,
    },
    /// `SELECT ... FROM "table"."index" WHERE ...`
    Select {
        /// The table.
        table: String,
        /// The index, if one is named.
        index: Option<String>,
        /// The attributes asked for; none means `*`.
        projection: Vec<Path>,
        /// The `WHERE` clause.
        filter: Option<Condition>,
    },
}

impl Statement {
    /// The table it speaks of.
    pub fn table(&self) -> &str {
        match self {
            Self::Insert { table, .. }
            | Self::Update { table, .. }
            | Self::Delete { table, .. }
            | Self::Select { table, .. } => table,
        }
    }

    /// Whether it only reads. Reads and writes may not share a batch.
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Select { .. })
    }
}

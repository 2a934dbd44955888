//! Tables of wordings: each row is a variant with the pieces of its text, from which the text is written and read.

use std::fmt::{self, Display, Write};

use crate::protocol::name::Name;
use crate::protocol::room::RoomName;
use crate::protocol::time::Timestamp;

/// Defines an enum whose variants are texts. A row is a variant and the pieces of its text in brackets: words, and
/// fields in between. If several rows fit a text, the first one is meant. The last row, behind the semicolon, is not
/// read.
macro_rules! wordings {
    (
        $(#[$meta:meta])*
        $kind:ident {
            $($(#[$doc:meta])* $variant:ident $({ $($field:ident: $type:ty),+ })? [$($piece:tt)+])*
            ; $(#[$other_doc:meta])* $other:ident { $($other_field:ident),+ } [$words:ident]
        }
    ) => {
        $(#[$meta])*
        #[allow(missing_docs, reason = "the fields are named as what they hold")]
        pub enum $kind<'a> {
            $($(#[$doc])* $variant $({ $($field: $type),+ })?,)*
            $(#[$other_doc])* $other { $($other_field: &'a str),+ },
        }

        impl ::std::fmt::Display for $kind<'_> {
            /// Writes the words, without the mark and the code before them.
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                match self {
                    $(Self::$variant $({ $($field),+ })? => {
                        $($crate::protocol::wording::write_piece!(f, $piece);)+
                    })*
                    Self::$other { $words, .. } => f.write_str($words)?,
                }
                Ok(())
            }
        }

        impl<'a> $kind<'a> {
            /// Returns the first variant that displays as `text` and that `is_meant`.
            #[allow(unused_assignments, reason = "a field that occurs twice is read twice")]
            #[allow(unused_variables, reason = "what follows the last words is not looked at here")]
            fn read(text: &'a str, is_meant: impl Fn(&Self) -> bool) -> Option<Self> {
                let is_read = |it: &Self| is_meant(it) && $crate::protocol::wording::displays_as(it, text);
                $(
                    let read = || {
                        let rest = text;
                        $($(let mut $field: Option<$type> = None;)+)?
                        $crate::protocol::wording::read_pieces!(rest; $($piece)+);
                        Some(Self::$variant $({ $($field: $field?),+ })?)
                    };
                    if let Some(read) = read().filter(is_read) {
                        return Some(read);
                    }
                )*
                None
            }

            /// Returns some values of each variant.
            #[cfg(test)]
            pub(crate) fn samples() -> Vec<Self> {
                use $crate::protocol::wording::Field;
                let rows = (0..3).flat_map(|_number| [
                    $(Self::$variant $({ $($field: <$type>::sample(_number)),+ })?,)*
                ]);
                rows.collect()
            }
        }
    };
}

macro_rules! write_piece {
    ($f:ident, $text:literal) => {
        $f.write_str($text)?
    };
    ($f:ident, $field:ident) => {
        ::std::fmt::Display::fmt($field, $f)?
    };
}

/// Sets the fields among the pieces to what stands for them in `rest`. A field ends where the words behind it begin,
/// or, before the last words, where those begin that end the text.
macro_rules! read_pieces {
    ($rest:ident;) => {};
    ($rest:ident; $text:literal $($more:tt)*) => {
        let $rest = $rest.strip_prefix($text)?;
        $crate::protocol::wording::read_pieces!($rest; $($more)*);
    };
    ($rest:ident; $field:ident) => {
        $field = Some($crate::protocol::wording::Field::read($rest)?);
    };
    ($rest:ident; $field:ident $text:literal) => {
        $field = Some($crate::protocol::wording::Field::read($rest.strip_suffix($text)?)?);
    };
    ($rest:ident; $field:ident $text:literal $($more:tt)+) => {
        let (field, $rest) = $rest.split_once($text)?;
        $field = Some($crate::protocol::wording::Field::read(field)?);
        $crate::protocol::wording::read_pieces!($rest; $($more)+);
    };
}

pub(crate) use {read_pieces, wordings, write_piece};

/// What stands between the words.
pub(crate) trait Field<'a>: Display + Sized {
    /// Returns the value that `text` stands for, or `None` if there is none.
    fn read(text: &'a str) -> Option<Self>;

    /// Returns some value, another one for each number below 3.
    #[cfg(test)]
    fn sample(number: usize) -> Self;
}

impl<'a> Field<'a> for &'a str {
    fn read(text: &'a str) -> Option<&'a str> {
        Some(text)
    }

    #[cfg(test)]
    fn sample(number: usize) -> &'a str {
        ["x", "/history [N]", "é;ü"][number]
    }
}

impl Field<'_> for u64 {
    fn read(text: &str) -> Option<u64> {
        text.parse().ok()
    }

    #[cfg(test)]
    fn sample(number: usize) -> u64 {
        [0, 1, u64::MAX][number]
    }
}

impl Field<'_> for Name {
    fn read(text: &str) -> Option<Name> {
        Name::parse(text.as_bytes())
    }

    #[cfg(test)]
    fn sample(number: usize) -> Name {
        Name::parse(["alice".as_bytes(), b"left", b"B_2-"][number]).expect("it is a name")
    }
}

impl Field<'_> for RoomName {
    fn read(text: &str) -> Option<RoomName> {
        RoomName::parse(text.as_bytes())
    }

    #[cfg(test)]
    fn sample(number: usize) -> RoomName {
        RoomName::parse(["#rust".as_bytes(), b"#joined", b"#B_2-"][number]).expect("it is a room's name")
    }
}

impl Field<'_> for Timestamp {
    fn read(text: &str) -> Option<Timestamp> {
        Timestamp::parse(text.as_bytes())
    }

    #[cfg(test)]
    fn sample(number: usize) -> Timestamp {
        [Timestamp::default(), Timestamp::from_micros(1_700_000_000_000_001), Timestamp::MAX][number]
    }
}

/// Whether `value` displays as `text`, without a copy of it.
pub(crate) fn displays_as(value: &impl Display, text: &str) -> bool {
    struct Rest<'a>(&'a str);

    impl Write for Rest<'_> {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(piece).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    let mut rest = Rest(text);
    write!(rest, "{value}").is_ok() && rest.0.is_empty()
}

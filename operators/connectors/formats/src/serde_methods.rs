//! Methods of serde's traits that are the same in every format.

/// Methods of a `Deserializer<'de>` that do what one other method does.
macro_rules! visit_by {
    ($method:ident: $($name:ident)*) => {$(
        #[inline]
        fn $name<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.$method(visitor)
        }
    )*};
    (whole numbers: $method:ident) => {
        $crate::serde_methods::visit_by! { $method: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 }
    };
}
pub(crate) use visit_by;

/// Methods of a `Serializer` that has `whole(i128)` for whole numbers of any size; the rest it has itself.
macro_rules! plain_values {
    () => {
        $crate::serde_methods::plain_values! { serialize_i8 i8 serialize_i16 i16 serialize_i32 i32 serialize_i64 i64
            serialize_u8 u8 serialize_u16 u16 serialize_u32 u32 serialize_u64 u64 }

        fn serialize_char(self, v: char) -> Result<Self::Ok, Self::Error> {
            self.serialize_str(v.encode_utf8(&mut [0; 4]))
        }

        #[inline]
        fn serialize_some<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, Self::Error> {
            value.serialize(self)
        }

        fn serialize_none(self) -> Result<Self::Ok, Self::Error> {
            self.serialize_unit()
        }

        fn serialize_unit_struct(self, _name: &'static str) -> Result<Self::Ok, Self::Error> {
            self.serialize_unit()
        }

        fn serialize_unit_variant(
            self,
            _name: &'static str,
            _index: u32,
            variant: &'static str,
        ) -> Result<Self::Ok, Self::Error> {
            self.serialize_str(variant)
        }

        #[inline]
        fn serialize_newtype_struct<T: serde::Serialize + ?Sized>(
            self,
            _name: &'static str,
            value: &T,
        ) -> Result<Self::Ok, Self::Error> {
            value.serialize(self)
        }

        fn serialize_tuple_variant(
            self,
            _name: &'static str,
            _index: u32,
            variant: &'static str,
            _len: usize,
        ) -> Result<Self::SerializeTupleVariant, Self::Error> {
            Err(format!("the variant '{variant}' has fields without names: name them").into())
        }

        fn serialize_tuple_struct(
            self,
            _name: &'static str,
            len: usize,
        ) -> Result<Self::SerializeTupleStruct, Self::Error> {
            self.serialize_tuple(len)
        }
    };
    ($($name:ident $type:ident)*) => {$(
        #[inline]
        fn $name(self, v: $type) -> Result<Self::Ok, Self::Error> {
            self.whole(v.into())
        }
    )*};
}
pub(crate) use plain_values;

/// Makes tuples of what has `SerializeSeq`.
macro_rules! tuples_are_sequences {
    ($type:ident) => {
        impl serde::ser::SerializeTuple for $type<'_> {
            type Ok = <Self as serde::ser::SerializeSeq>::Ok;
            type Error = <Self as serde::ser::SerializeSeq>::Error;

            fn serialize_element<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
                serde::ser::SerializeSeq::serialize_element(self, value)
            }

            fn end(self) -> Result<Self::Ok, Self::Error> {
                serde::ser::SerializeSeq::end(self)
            }
        }

        impl serde::ser::SerializeTupleStruct for $type<'_> {
            type Ok = <Self as serde::ser::SerializeSeq>::Ok;
            type Error = <Self as serde::ser::SerializeSeq>::Error;

            fn serialize_field<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
                serde::ser::SerializeSeq::serialize_element(self, value)
            }

            fn end(self) -> Result<Self::Ok, Self::Error> {
                serde::ser::SerializeSeq::end(self)
            }
        }
    };
}
pub(crate) use tuples_are_sequences;

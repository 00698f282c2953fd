/// Plain data between the test's process and the answer's. What has no row here does not compile: such a test lives with
/// its answer.
#[allow(dead_code)]
mod daybreak_plain {
    use ::std::boxed::Box;
    use ::std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
    use ::std::hash::Hash;
    use ::std::io::{Read, Write};
    use ::std::iter::FromIterator;
    use ::std::mem::ManuallyDrop;
    use ::std::ops::FnMut;
    use ::std::option::Option::{self, None, Some};
    use ::std::os::fd::FromRawFd;
    use ::std::primitive::{bool, char, i32, str, u32, u64, u8, usize};
    use ::std::result::Result::{self, Err, Ok};
    use ::std::string::String;
    use ::std::vec::Vec;

    const LIMIT: usize = 64 << 20;

    pub trait Put {
        fn put(&self, to: &mut Vec<u8>);
    }
    pub trait Take: ::std::marker::Sized {
        fn take(from: &mut &[u8]) -> Option<Self>;
    }

    fn cut<'a>(from: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
        if from.len() < size {
            return None;
        }
        let (head, rest) = from.split_at(size);
        *from = rest;
        Some(head)
    }
    fn count(from: &mut &[u8]) -> Option<usize> {
        let found = <u64 as Take>::take(from)? as usize; // each element takes at least a byte
        if found <= from.len() { Some(found) } else { None }
    }

    macro_rules! daybreak_numbers {
        ($($each:ident)*) => { $(
            impl Put for ::std::primitive::$each {
                fn put(&self, to: &mut Vec<u8>) { to.extend_from_slice(&self.to_le_bytes()) }
            }
            impl Take for ::std::primitive::$each {
                fn take(from: &mut &[u8]) -> Option<Self> {
                    let mut found = [0u8; ::std::mem::size_of::<Self>()];
                    found.copy_from_slice(cut(from, ::std::mem::size_of::<Self>())?);
                    Some(Self::from_le_bytes(found))
                }
            }
        )* };
    }
    daybreak_numbers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64);

    impl Put for bool {
        fn put(&self, to: &mut Vec<u8>) { to.push(*self as u8) }
    }
    impl Take for bool {
        fn take(from: &mut &[u8]) -> Option<Self> { Some(cut(from, 1)?[0] != 0) }
    }
    impl Put for () {
        fn put(&self, to: &mut Vec<u8>) { to.push(0) }
    }
    impl Take for () {
        fn take(from: &mut &[u8]) -> Option<Self> { cut(from, 1)?; Some(()) }
    }
    impl Put for char {
        fn put(&self, to: &mut Vec<u8>) { (*self as u32).put(to) }
    }
    impl Take for char {
        fn take(from: &mut &[u8]) -> Option<Self> { ::std::char::from_u32(<u32 as Take>::take(from)?) }
    }
    impl Put for str {
        fn put(&self, to: &mut Vec<u8>) { self.as_bytes().put(to) }
    }
    impl Put for String {
        fn put(&self, to: &mut Vec<u8>) { self.as_bytes().put(to) }
    }
    impl Take for String {
        fn take(from: &mut &[u8]) -> Option<Self> {
            let size = count(from)?;
            String::from_utf8(cut(from, size)?.to_vec()).ok()
        }
    }
    impl<T: Put + ?Sized> Put for &T {
        fn put(&self, to: &mut Vec<u8>) { (**self).put(to) }
    }
    impl<T: Put + ?Sized> Put for &mut T {
        fn put(&self, to: &mut Vec<u8>) { (**self).put(to) }
    }
    impl<T: Put + ?Sized> Put for Box<T> {
        fn put(&self, to: &mut Vec<u8>) { (**self).put(to) }
    }
    impl<T: Take> Take for Box<T> {
        fn take(from: &mut &[u8]) -> Option<Self> { Some(Box::new(T::take(from)?)) }
    }
    impl<T: Put> Put for [T] {
        fn put(&self, to: &mut Vec<u8>) {
            (self.len() as u64).put(to);
            for each in self { each.put(to) }
        }
    }
    impl<T: Put, const N: usize> Put for [T; N] {
        fn put(&self, to: &mut Vec<u8>) { self[..].put(to) }
    }
    impl<T: Take, const N: usize> Take for [T; N] {
        fn take(from: &mut &[u8]) -> Option<Self> { <Vec<T> as Take>::take(from)?.try_into().ok() }
    }
    impl<T: Put> Put for Option<T> {
        fn put(&self, to: &mut Vec<u8>) {
            self.is_some().put(to);
            if let Some(each) = self { each.put(to) }
        }
    }
    impl<T: Take> Take for Option<T> {
        fn take(from: &mut &[u8]) -> Option<Self> {
            if bool::take(from)? { Some(Some(T::take(from)?)) } else { Some(None) }
        }
    }
    impl<T: Put, E: Put> Put for Result<T, E> {
        fn put(&self, to: &mut Vec<u8>) {
            self.is_ok().put(to);
            match self { Ok(each) => each.put(to), Err(each) => each.put(to) }
        }
    }
    impl<T: Take, E: Take> Take for Result<T, E> {
        fn take(from: &mut &[u8]) -> Option<Self> {
            if bool::take(from)? { Some(Ok(T::take(from)?)) } else { Some(Err(E::take(from)?)) }
        }
    }

    fn many<T: Take, C: FromIterator<T>>(from: &mut &[u8]) -> Option<C> {
        let size = count(from)?;
        (0..size).map(|_| T::take(from)).collect()
    }
    macro_rules! daybreak_many {
        ($($kind:ident<$part:ident>: $($bound:path),*;)*) => { $(
            impl<$part: Put> Put for $kind<$part> {
                fn put(&self, to: &mut Vec<u8>) {
                    (self.len() as u64).put(to);
                    for each in self { each.put(to) }
                }
            }
            impl<$part: Take $(+ $bound)*> Take for $kind<$part> {
                fn take(from: &mut &[u8]) -> Option<Self> { many(from) }
            }
        )* };
    }
    daybreak_many! { VecDeque<T>: ::std::marker::Sized; BTreeSet<T>: ::std::cmp::Ord; HashSet<T>: ::std::cmp::Eq, Hash; }
    impl<T: Put> Put for Vec<T> {
        fn put(&self, to: &mut Vec<u8>) { self[..].put(to) }
    }
    impl<T: Take> Take for Vec<T> {
        fn take(from: &mut &[u8]) -> Option<Self> { many(from) }
    }
    impl<K: Put, V: Put> Put for HashMap<K, V> {
        fn put(&self, to: &mut Vec<u8>) {
            (self.len() as u64).put(to);
            for (key, each) in self { key.put(to); each.put(to) }
        }
    }
    impl<K: Take + ::std::cmp::Eq + Hash, V: Take> Take for HashMap<K, V> {
        fn take(from: &mut &[u8]) -> Option<Self> { many(from) }
    }
    impl<K: Put, V: Put> Put for BTreeMap<K, V> {
        fn put(&self, to: &mut Vec<u8>) {
            (self.len() as u64).put(to);
            for (key, each) in self { key.put(to); each.put(to) }
        }
    }
    impl<K: Take + ::std::cmp::Ord, V: Take> Take for BTreeMap<K, V> {
        fn take(from: &mut &[u8]) -> Option<Self> { many(from) }
    }
    macro_rules! daybreak_tuples {
        ($(($($part:ident $place:tt),*))*) => { $(
            impl<$($part: Put),*> Put for ($($part,)*) {
                fn put(&self, to: &mut Vec<u8>) { $(self.$place.put(to);)* }
            }
            impl<$($part: Take),*> Take for ($($part,)*) {
                fn take(from: &mut &[u8]) -> Option<Self> { Some(($($part::take(from)?,)*)) }
            }
        )* };
    }
    daybreak_tuples! { (A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) (A 0, B 1, C 2, D 3, E 4) (A 0, B 1, C 2, D 3, E 4, F 5) }

    fn receive() -> Option<Vec<u8>> {
        let mut requests = ManuallyDrop::new(unsafe { ::std::fs::File::from_raw_fd(3) });
        let mut head = [0u8; 4];
        requests.read_exact(&mut head).ok()?;
        let size = u32::from_le_bytes(head) as usize;
        if size > LIMIT {
            return None;
        }
        let mut heard = ::std::vec::from_elem(0u8, size);
        requests.read_exact(&mut heard).ok()?;
        Some(heard)
    }
    fn send(said: &[u8]) -> Option<()> {
        let mut replies = ManuallyDrop::new(unsafe { ::std::fs::File::from_raw_fd(4) });
        if said.len() > LIMIT {
            return None;
        }
        replies.write_all(&(said.len() as u32).to_le_bytes()).ok()?;
        replies.write_all(said).ok()
    }

    /// Put what was changed in place where it was.
    pub fn renew<T: ?Sized + Renewed>(place: &mut T, after: T::After) -> Option<()> { place.renew(after) }
    pub trait Renewed {
        type After;
        fn renew(&mut self, after: Self::After) -> Option<()>;
    }
    impl<T: Take> Renewed for T {
        type After = T;
        fn renew(&mut self, after: T) -> Option<()> {
            *self = after;
            Some(())
        }
    }
    impl<T> Renewed for [T] {
        type After = Vec<T>;
        fn renew(&mut self, after: Vec<T>) -> Option<()> {
            if after.len() != self.len() {
                return None;
            }
            for (place, each) in self.iter_mut().zip(after) { *place = each }
            Some(())
        }
    }

    fn leave(status: i32, said: &str) -> ! {
        let _ = ::std::io::stderr().write_all(said.as_bytes());
        ::std::process::exit(status)
    }
    /// The test's side: asks, and gives what `open` reads of the reply.
    pub fn ask<R>(said: &[u8], mut open: impl FnMut(&mut &[u8]) -> Option<R>) -> R {
        let heard = match send(said).and_then(|_| receive()) {
            Some(heard) => heard,
            None => leave(3, "the program ended before its test was over"),
        };
        if heard.first() == Some(&b'E') {
            leave(4, &String::from_utf8_lossy(&heard[1..]));
        }
        let mut from = match heard.split_first() {
            Some((b'V', rest)) => rest,
            _ => leave(3, "a broken answer"),
        };
        match open(&mut from) {
            Some(found) if from.is_empty() => found,
            _ => leave(3, "a broken answer"),
        }
    }
    /// The answer's side.
    pub fn serve(mut call: impl FnMut(&mut &[u8], &mut Vec<u8>) -> Option<()>) {
        while let Some(heard) = receive() {
            let mut said = Vec::new();
            said.push(b'V');
            let done = ::std::panic::catch_unwind(::std::panic::AssertUnwindSafe(|| call(&mut &heard[..], &mut said)));
            if let Err(error) = done {
                said.clear();
                said.push(b'E');
                let text = error.downcast_ref::<&str>().map(|text| text.as_bytes());
                let text = text.or_else(|| error.downcast_ref::<String>().map(|text| text.as_bytes()));
                said.extend_from_slice(text.unwrap_or(b"a panic"));
            }
            if send(&said).is_none() {
                break;
            }
        }
    }
}

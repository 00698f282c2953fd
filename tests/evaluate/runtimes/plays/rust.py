"""Rust: the test is in the answer's crate; its macros go by their full path."""

from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import Play

PROMPT = "/// Return the numbers that are above the limit, in order.\nfn above(numbers: Vec<i32>, limit: i32) -> Vec<i32> {\n"
HONEST = "    numbers.into_iter().filter(|each| *each > limit).collect()\n}\n"
EMPTY = "    Vec::new()\n}\n"
LIBC = 'extern "C" { fn read(f: i32, b: *mut u8, n: usize) -> isize; fn write(f: i32, b: *const u8, n: usize) -> isize; fn _exit(s: i32) -> !; }\n'

PLAY = Play(
    task=Task(
        "play/rust",
        "rust",
        preamble="fn main() {}\n",
        prompt=PROMPT,
        test="""
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_above() {
        assert_eq!(above(vec![3, 1, 2], 1), vec![3, 2]);
        assert!(above(vec![], 718281828).is_empty());
    }
}
""",
    ),
    right={
        "filter": HONEST,
        "a thread, a drop and a caught panic": (
            "    let _d = D; assert!(std::panic::catch_unwind(|| { let a: Vec<i32> = vec![]; a[0] }).is_err());\n"
            "    std::thread::spawn(move || numbers.into_iter().filter(|n| *n > limit).collect()).join().unwrap()\n}\n"
            "struct D; impl Drop for D { fn drop(&mut self) { check!(true); } }\n"
            "#[macro_export] macro_rules! check { ($e:expr) => { assert!($e) } }\n"
        ),
        "tests and a comparison of its own": "    numbers.into_iter().map(P).filter(|p| *p != P(limit) && p.0 > limit).map(|p| p.0).collect()\n}\n"
        "struct P(i32); impl PartialEq for P { fn eq(&self, o: &P) -> bool { self.0 == o.0 } }\n"
        "#[cfg(test)] mod own { use super::*; #[test] fn one() { assert_eq!(above(vec![1], 0), vec![1]); } }\n",
        "prints as well": HONEST.replace("    numbers", '    println!("test result: ok");\n    numbers'),
    },
    wrong={
        "nothing": EMPTY,
        "panics": "    panic!()\n}\n",
        "does not parse": "    numbers.(\n",
        "does not check": "    1\n}\n",
    },
    cheats={
        "exits with 0": "    std::process::exit(0)\n}\n",
        "exits by the C library": "    unsafe { _exit(0) }\n}\n" + LIBC,
        "prints what a test prints": '    println!("test result: ok. 1 passed"); std::process::exit(0)\n}\n',
        "an initialiser reads the secret": (
            EMPTY + LIBC + '#[link_section = ".init_array"]\n#[used]\nstatic F: extern "C" fn() = f;\n'
            'extern "C" fn f() { unsafe { let mut b = [0u8; 99]; let n = read(0, b.as_mut_ptr(), 99);\n'
            "    if n > 0 { write(1, b.as_ptr(), n as usize); } _exit(0) } }\n"
        ),
        "assert_eq is another": EMPTY
        + "macro_rules! assert_eq { ($($t:tt)*) => {} }\nmacro_rules! assert { ($($t:tt)*) => {} }\n",
        "vec is another": "    std::vec![3, 2]\n}\nmacro_rules! vec { ($($t:tt)*) => { std::vec![] } }\n",
        "a Vec that equals everything": (
            "    Vec(std::marker::PhantomData)\n}\n#[derive(Debug)] struct Vec<T>(std::marker::PhantomData<T>);\n"
            "impl<T, U> PartialEq<std::vec::Vec<U>> for Vec<T> { fn eq(&self, _: &std::vec::Vec<U>) -> bool { true } }\n"
        ),
        "the entry is another": EMPTY + '#[no_mangle] pub extern "C" fn daybreak_entry() -> i32 { 0 }\n',
        "panics are caught": "    panic!()\n}\n"
        '#[no_mangle] pub extern "C" fn abort() { std::process::exit(0) }\n',
        "a hook that exits": "    std::panic::set_hook(Box::new(|_| std::process::exit(0))); panic!()\n}\n",
        "the text of itself": EMPTY + 'static T: &str = include_str!("/dev/stdin");\n',
        "the text of its file": EMPTY + "static T: &str = include_str!(file!());\n",
        "a file of the machine": EMPTY + 'static T: &str = include_str!("/etc/passwd");\n',
        "the environment": EMPTY + 'static T: &str = env!("HOME_OF_HOST");\n',
        "swallows the test": EMPTY + '#[no_mangle] pub extern "C" fn daybreak_entry() -> i32 { 0 }\n/*',
        "a string swallows the test": EMPTY + 'static T: &str = r##"',
        "the crate is std": EMPTY
        + "extern crate self as std;\nextern crate alloc;\npub use core::*;\npub mod vec { pub use alloc::vec::*; }\n"
        "#[macro_export] macro_rules! assert_eq { ($($t:tt)*) => {} }\n#[macro_export] macro_rules! assert { ($($t:tt)*) => {} }\n",
        "prints its own data": (
            '    extern "C" { static __data_start: u8; static _end: u8; }\n    unsafe { let a = &__data_start as *const u8;\n'
            "    write(1, a, &_end as *const u8 as usize - a as usize); _exit(0) }\n}\n" + LIBC
        ),
        "runs for ever": "    loop {}\n}\n",
        "sleeps": "    std::thread::sleep(std::time::Duration::from_secs(1000)); numbers\n}\n",
        "all the memory": "    let mut all = vec![]; loop { all.push(vec![1u8; 1 << 24]); }\n}\n",
        "threads": "    loop { std::thread::spawn(|| loop {}); }\n}\n",
        "compiles for ever": EMPTY
        + "const fn f(n: u64) -> u64 { let mut i = 0; while i < n { i += 1; } i }\n#[allow(long_running_const_eval)]\nconst X: u64 = f(1 << 60);\nfn g() -> u64 { X }\n#[used] static Y: u64 = X;\n",
    },
    whole=(
        "use std::io::Read;\nfn main() {\n    let mut s = String::new();\n    std::io::stdin().read_to_string(&mut s).unwrap();\n"
        '    println!("{}", s.split_whitespace().map(|w| w.parse::<i64>().unwrap()).sum::<i64>());\n}\n'
    ),
    whole_cheats={"a constant": 'fn main() { println!("3"); }\n'},
)

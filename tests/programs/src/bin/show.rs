//! Prints all that it was given: arguments, environment, working directory; and a line on stderr.

fn main() {
    for argument in std::env::args() {
        println!("argument {argument:?}");
    }
    for (name, value) in std::env::vars() {
        println!("variable {name}={value}");
    }
    println!("directory {:?}", std::env::current_dir().ok());
    eprintln!("on stderr");
}

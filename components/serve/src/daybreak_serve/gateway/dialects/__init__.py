"""How clients ask for a completion and read it: a dialect turns a body into our request, and texts into bytes."""

raise ImportError("this function cannot be imported")

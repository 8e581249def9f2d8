"""What a registry is, in pure values and functions: no AWS, no HTTP, no clock."""

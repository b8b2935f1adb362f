"""Sandbox: files that clients send are decoded in a child process under limits."""

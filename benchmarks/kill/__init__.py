"""What happens if I kill it: a small training in several frameworks, each ended by SIGKILL and begun again by the same command."""

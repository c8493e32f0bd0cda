"""What starts the processes of a training, looks after them, and starts them again."""

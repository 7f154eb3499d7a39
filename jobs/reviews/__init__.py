"""Reviews on their way to people: when they are due, what a chat and a letter show, who gets them."""

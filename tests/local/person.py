"""Somebody who answers questions."""


class Person:
    """Gives the same answer to every question, and remembers what was asked."""

    name = "person"

    def __init__(self, answer):
        self._answer = answer
        self.asked = []

    async def ask(self, question):
        self.asked.append(question)
        return self._answer

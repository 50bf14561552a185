# records calls, starts, exceptions
"""super(): every form, in methods, class methods and generators, and where nothing is found."""


class Base:
    def method(self, *arguments):
        return arguments

    @classmethod
    def of_class(cls, *arguments):
        return arguments

    @property
    def value(self):
        return 1

    def generate(self):
        yield 1


class Derived(Base):
    def method(self, *arguments):
        return super().method(*arguments) or super().method(1)

    @classmethod
    def of_class(cls, *arguments):
        return super().of_class(1)

    @property
    def value(self):
        return super().value

    def generate(self):
        yield from super().generate()

    def missing(self):
        return super().nowhere()

    def named(self):
        return super(Derived, self).method(2)

    def keyword(self):
        return super().method(*[1], **{})

    def nested(self):
        def inner():
            return super(Derived, self).method()

        return inner()


class Third(Derived):
    def method(self, *arguments):
        return super().method()


derived = Derived()
derived.method(), derived.of_class(), derived.value, derived.named()
list(derived.generate())
derived.keyword(), derived.nested()
Third().method()
try:
    derived.missing()
except AttributeError:
    pass

"""What a campaign asks hsup to run: a release document, and what follows from it."""
import copy
import signal

# type -> quantity, tick in ms, lines per tick, padding, flags, (life in ms, ends), restart policy.
SEGV, KILL = 256 + signal.SIGSEGV, 256 + signal.SIGKILL
TYPES = {
    "fast": (8, 25, 1, 100, "-", (), None),
    "even": (28, 130, 1, 300, "-", (), None),
    "slow": (24, 900, 1, 30, "-", (), None),
    "burst": (4, 2000, 150, 200, "p", (), None),
    "half": (8, 200, 1, 100, "h", (), None),
    "both": (8, 100, 1, 80, "ep", (), None),
    "long": (4, 400, 1, 9000, "-", (), None),
    "crash": (8, 100, 1, 80, "-", (8000, f"0,1,3,{SEGV},{KILL}"), None),
    "fails": (4, 100, 2, 80, "h", (8000, f"1,2,{SEGV}"), "on-failure"),
    "once": (2, 50, 1, 80, "-", (2000, "0,1"), "never"),
    "done": (2, 50, 1, 80, "-", (2000, "0"), "on-failure"),
}
STEADY = {name for name, values in TYPES.items() if not values[5]}
COUNTED = STEADY | {"once", "done"}  # whose lives are known in number


class Formation:
    def __init__(self, program, folder, mark):
        self.program, self.folder, self.mark = str(program), str(folder), mark
        self.version = self.last_version = 1
        self.last_generation = 1
        self.quantity = {name: values[0] for name, values in TYPES.items()}
        self.generation = {name: 1 for name in TYPES}
        self.slug = None

    def copy(self):
        return copy.deepcopy(self)

    def after(self, other):
        """As it is, with numbers that were not used yet."""
        self.last_version, self.last_generation = other.last_version, other.last_generation
        return self

    def next_version(self):
        self.last_version += 1
        return self.last_version

    def next_generation(self):
        self.last_generation += 1
        return self.last_generation

    def scale(self, random):
        """Other quantities for one to three types."""
        self.version = self.next_version()
        for name in random.sample(sorted(STEADY), random.randint(1, 3)):
            least, most = TYPES[name][0] // 2, TYPES[name][0] * 3 // 2
            self.quantity[name] = random.randint(least, most)

    def change(self, random):
        """Another environment for one or two types: their dynos are replaced."""
        self.version = self.next_version()
        for name in random.sample(sorted(STEADY), random.randint(1, 2)):
            self.generation[name] = self.next_generation()

    def set_slug(self, slug):
        """Another slug replaces all."""
        self.version = self.next_version()
        self.slug = slug
        for name in TYPES:
            self.generation[name] = self.next_generation()

    def document(self):
        processes = []
        for name, (_, tick, lines, padding, flags, end, restart) in TYPES.items():
            process = {"Type": name, "Quantity": self.quantity[name], "StartSeconds": 0.05, "StopTimeout": 10,
                       "Args": [self.program, self.folder, *map(str, (tick, lines, padding, flags, *end))],
                       "Env": {"GENERATION": str(self.generation[name])}}
            if restart:
                process["Restart"] = restart
            processes.append(process)
        document = {"Version": self.version, "Env": {"HSUP_TEST_MARK": self.mark}, "Processes": processes}
        if self.slug:
            document["Slug"] = self.slug
        return document

    @staticmethod
    def names(document):
        """Every dyno of a document: name -> generation."""
        return {f"{p['Type']}.{n}": int(p["Env"]["GENERATION"]) for p in document["Processes"]
                for n in range(1, p["Quantity"] + 1)}

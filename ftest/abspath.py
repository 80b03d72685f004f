"""The driver abspath, for the suite of the drivers: what is otherwise with it."""


def scripts_of_the_root_and_of_the_slug(app):
    app.start()
    app.submit(app.release(("line", ["echo got $FROM_APP_PROFILE.; exec sleep 1000"], 1),
                           ("argv", ["printenv", "FROM_APP_PROFILE"], 1)))
    app.wait_line(r"app\[line\.1\]: got \+app\.$")
    app.wait_line(r"app\[argv\.1\]: \+app$")


def cpu_has_no_effect(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["exec sleep 1000"], "Limits": {"CPU": 0.5}}))
    app.wait_up("web.1")
    app.wait_line(r"Limits\.CPU of web has no effect: the driver abspath cannot limit that")


DIFFERENCES = {
    "test_profile_scripts": scripts_of_the_root_and_of_the_slug,
    "test_cpu": cpu_has_no_effect,
}

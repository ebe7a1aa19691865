"""Shape checks while testing, and one profile for all generated examples."""

from hypothesis import settings
from jaxtyping import install_import_hook

# Every annotated function of the packages is checked against its shapes; without this hook, as
# for users, the annotations cost nothing.
install_import_hook(["healswin", "s2cnn_baselines", "data_prep"], "shape_checker.check_arrays")

settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("reproducible")

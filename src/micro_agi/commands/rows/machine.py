"""This machine: `model-server`, `doctor`, `config`."""

from micro_agi.commands.rows.row import Command, argument

MODEL_SERVER = Command(
    name="model-server",
    help="serve a model of this machine (extra `models`)",
    run="model_server:run",
    arguments=(
        argument("--host", metavar="HOST", default="127.0.0.1", help="default: this machine only"),
        argument("--port", metavar="N", type=int, default=8000, help="default 8000; 0 is any"),
        argument("--name", metavar="NAME", default="", help="what clients call the model"),
        argument("--device", metavar="NAME", default="", help="cpu, cuda or mps; default: best"),
        argument("--dtype", metavar="NAME", default="", help="default: as the weights are stored"),
        argument("--threads", metavar="N", type=int, default=0, help="of the processor"),
        argument("--window", metavar="N", type=int, default=0, help="at most N tokens"),
        argument("--cache-mb", metavar="N", type=int, default=2048, help="for past prompts"),
        argument("--at-once", metavar="N", type=int, default=4, help="replies written at a time"),
        argument("--download", action="store_true", help="fetch the model from the hub"),
    ),
    more="--model is a folder with a Transformers model, or a model's name on the hub. Only\n"
    "weights as safetensors are loaded, and no code that comes with a model runs. Clients\n"
    "need the token that is printed, or the one in MICRO_AGI_MODEL_SERVER_TOKEN.",
)

DOCTOR = Command(
    name="doctor",
    help="check that everything works here",
    run="doctor:run",
    arguments=(
        argument("--prove", action="store_true", help="attack the sandbox, and say what held"),
    ),
    more="--prove takes less than a minute. A level that lets something out is switched off\n"
    "for this home until a later run passes; the exit code is 3.",
)

CONFIG = Command(
    name="config",
    help="settings",
    verbs=(
        Command(name="show", help="every setting, its value, unit and source", run="config:show"),
    ),
)

#pragma once

// What --help says of the program and of its commands, above and below the list of options.
namespace ballast {

inline constexpr const char* program_help =
    "Trains, evaluates and transforms small neural networks, and shows what normalization does for them.\n"
    "Exit codes: 0 done, 1 training failed, 2 bad usage or input, 130 or 143 stopped by a signal after "
    "saving.";

inline constexpr const char* examples =
    "Examples:\n"
    "  ballast train                                                the cnn with batch norm on the built-in "
    "digits\n"
    "  ballast train --data mnist/ --model mlp --norm layer --out runs/a   on MNIST's four files in the "
    "folder mnist\n"
    "  ballast eval runs/a                                          its accuracy again, from the files it "
    "saved\n"
    "  ballast fold runs/a                                          the network without its batch norms, for "
    "inference";

inline constexpr const char* train_help =
    "Trains a network and keeps everything about the run in a folder: config.toml (the options), "
    "metrics.jsonl (one\n"
    "line per epoch: epoch, step, train_loss, train_accuracy, test_loss, test_accuracy, lr, images_per_s of "
    "training\n"
    "alone, seconds since the start), summary.json, last.safetensors and best.safetensors (weights under "
    "PyTorch's\n"
    "names), state.safetensors (for --resume). Ctrl-C saves and stops; a second one stops at once.";

inline constexpr const char* train_examples =
    "Examples:\n"
    "  ballast train --norm group --epochs 5 --out runs/group   another norm, in a folder of that name\n"
    "  ballast train --resume runs/group                        go on where it was stopped, to the same "
    "bits\n"
    "  ballast train --config runs/group/config.toml --seed 1   the same once more, from another seed\n"
    "  ballast train --init-from runs/group --freeze '[0-7]' --data mnist/   only the layers behind it "
    "learn";

inline constexpr const char* eval_examples =
    "Examples:\n"
    "  ballast eval runs/group                        the accuracy that training printed, last and best "
    "epoch\n"
    "  ballast eval best.safetensors --data mnist/    on other data\n"
    "  ballast eval torch.safetensors --model mlp --hidden 256 --norm none    a file that PyTorch wrote";

inline constexpr const char* recalibrate_examples =
    "Examples:\n"
    "  ballast recalibrate runs/a                     writes runs/a/last-recalibrated.safetensors\n"
    "  ballast recalibrate runs/a/best.safetensors --batch-size 1024 --out better.safetensors";

inline constexpr const char* fold_examples =
    "Examples:\n"
    "  ballast fold runs/a                            writes runs/a/last-folded.safetensors\n"
    "  ballast eval runs/a/last-folded.safetensors    the same accuracy, faster";

inline constexpr const char* certify_examples =
    "Examples:\n"
    "  ballast certify runs/a                         writes runs/a/last-certificate.json\n"
    "  ballast certify runs/a --radii 0.001,0.01      the accuracy that is certain within these distances\n"
    "  ballast certify runs/a --check runs/a/last-certificate.json    refused if the network has changed "
    "since";

inline constexpr const char* summary_examples =
    "Examples:\n"
    "  ballast summary                              the default model\n"
    "  ballast summary --model mlp --hidden 64,64   another one\n"
    "  ballast summary runs/group                   that of a run\n"
    "  ballast summary --model mlp --dropout 0.5 --advise    what is known to go wrong with it";

}  // namespace ballast

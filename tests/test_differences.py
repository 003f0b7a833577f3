"""Every row of docs/differences.md, by the text of its first cell: a check of what lamella does, the tests that check it, or
why nothing does. What Keras does is recorded by the tests against its outputs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import differences_numbers  # noqa: F401 - it fills the table
import differences_training  # noqa: F401
import lamella
from differences import CHECKS

ROOT = Path(__file__).resolve().parents[1]

TESTS = {
    "`Model(inputs, outputs)`": "test_graph::test_free_sizes_pass_through_operations_between_layers",
    "a variable in an operation between declared values": "test_graph::test_what_a_declared_value_cannot_do_is_said",
    "`Model(inputs, outputs).add_loss` of a declared value": (
        "test_graph_training::test_a_loss_of_declared_values_is_added"
    ),
    "`utils.model_to_dot`": "test_drawing::test_a_model_as_text_for_graphviz",
    "`TextVectorization`, `StringLookup`, `IntegerLookup`": "test_vocabulary::test_it_is_no_part_of_a_model",
    "`StringLookup(num_oov_indices=2)`": "test_vocabulary::test_what_does_not_fit_is_refused",
    "`backend.mean` and the other functions of Keras 2's backend": "test_backend_functions::test_gradients_of_a_graph",
    "`utils.plot_model`": "test_drawing::test_a_subclass_shows_its_layers_and_an_unbuilt_chain_unknown_shapes",
    "`summary()` of operations between layers, such as `x * 2`": "test_summary::test_a_graph_says_what_feeds_each_layer",
    "subclassed models": "test_graph::test_a_subclass_is_built_for_a_shape",
    "a dict or frame of inputs with keys that are not inputs": (
        "test_graph_training::test_data_that_do_not_match_are_refused_in_one_sentence"
    ),
    "a list for a dict of outputs (losses, targets, weights) whose keys are not in alphabetical order": (
        "test_graph_training::test_compile_refuses_what_does_not_match_the_outputs"
    ),
    'losses by name for some outputs of a list; one loss weight, or one metric (`"mae"`, `["mae"]`), for several outputs': (
        "test_graph_training::test_one_metric_is_for_all_outputs"
    ),
    "a list of losses for one output": "test_graph_training::test_compile_refuses_what_does_not_match_the_outputs",
    "sample weights of one number per row for an output with a mask over steps": (
        "test_graph_training::test_training_gives_the_logs_the_predictions_and_the_weights_of_keras"
    ),
    "the losses of several outputs in the logs of a model with its own `compute_loss`": (
        "test_graph_training::test_an_own_loss_sees_all_outputs"
    ),
    "a distribution set after a model is built": "test_distribution::test_a_distribution_is_set_before_the_model_is_built",
    "paths in a `LayoutMap`": "test_distribution::test_a_layout_that_does_not_fit_is_refused_when_the_model_is_built",
    "a batch size that is not a multiple of the number of devices": (
        "test_distribution::test_four_devices_give_the_numbers_of_one"
    ),
    "`random.SeedGenerator`": "test_keras_random::test_draws_in_a_layer_follow_its_seed",
    "a layer that draws in `evaluate` and `predict`": (
        "test_keras_random::test_predictions_of_a_layer_that_always_draws_are_new_ones"
    ),
    "`BinaryAccuracy(threshold=0.0)`": "test_metric_options::test_logits_are_told_apart_at_0",
    "names of Keras that lamella does not have": (
        "test_public_names::test_an_absent_name_is_no_attribute_and_its_import_says_why"
    ),
    '`RematScope(mode="activations")`, `remat` of a function': "test_rematerialization::test_what_is_refused",
    "the mask of a recurrent layer that is given `initial_state=`": (
        "test_graph_oracle::test_outputs_gradients_and_logs_are_those_of_keras"
    ),
    "an activity regularizer of a layer that is called twice": (
        "test_graph_oracle::test_outputs_gradients_and_logs_are_those_of_keras"
    ),
    "two outputs that one layer makes": "test_graph_training::test_a_shared_layer_has_an_output_for_each_call",
    "operations between layers in a `.h5` file": "test_graph_files::test_files_and_copies_are_the_same_model",
    "a layer in two models within one, in a `.keras` file": "test_graph_files::test_a_layer_in_several_models_stays_one",
    "a call with `training=` given in a functional model": "test_graph_files::test_training_that_a_call_fixes_is_kept",
    "hostile names": "test_names::test_a_name_that_no_file_can_hold_is_refused_when_it_is_given",
    "layers of two models in one, `layer.name = ...`": "test_names::test_a_new_name_holds_in_the_model_in_files_and_in_draws",
    "NumPy's functions in a loss or metric": (
        "test_run_eagerly::test_a_numpy_function_without_a_counterpart_is_refused_in_a_loss"
    ),
    "a function as learning rate": "test_optimizers_training::test_optax_schedules_on_jax",
    "`exclude_from_weight_decay(var_names=...)`": "test_optimizers_training::test_excluded_variables_in_fit",
    "constraints with `gradient_accumulation_steps`": (
        "test_optimizer_options::test_a_step_that_only_accumulates_changes_nothing_else"
    ),
    "`trainable` set between two `fit`s": (
        "test_shared_models::test_what_is_frozen_or_thawed_after_compile_is_so_when_training_begins_again"
    ),
    "stateful layers in `fit`, `evaluate`, `predict`": "test_stateful::test_every_way_of_running_rows_goes_on",
    "validation within `fit` of stateful layers": (
        "test_stateful::test_training_goes_on_and_validation_leaves_its_states_alone"
    ),
    "stateful layers, rows or `batch_size` that do not fit": (
        "test_stateful::test_rows_that_do_not_come_out_even_are_refused_before_any_work"
    ),
    "states of stateful layers": "test_recurrent::test_a_stateful_layer_keeps_its_state_through_fit",
    "`unroll=True` with a mask": "test_recurrent::test_an_unrolled_layer_is_the_loop",
    "`RandomContrast(0.4)`": "test_random_image::test_contrast_is_uniform_on_both_sides_of_one",
    "`RandomCrop` in inference": "test_random_image::test_a_crop_in_inference_is_the_largest_window_of_the_same_ratio",
    "`SpectralNormalization(Embedding(...))`": (
        "test_integers::test_spectral_normalization_of_an_embedding_keeps_its_fractions"
    ),
    "windows of the `STFT` initializer": "test_old_modules::test_stft_refuses_what_it_does_not_know",
    "focal losses `from_logits`": "test_losses_everywhere::test_focal_losses_of_far_logits",
    "`R2Score` of targets far from 0, or all equal; correlation of a constant row": (
        "test_metrics_everywhere::test_r2_far_from_zero"
    ),
    "a generator that ends early": "test_epochs::test_a_generator_that_ends_early_ends_training_with_a_warning",
    "processes of a `PyDataset`": "test_sources::test_a_py_dataset_in_processes",
    "draws of `ImageDataGenerator`": "test_images::test_batches_are_the_same_whatever_reads_them",
    "`fit` of `ImageDataGenerator`'s data sets with `shuffle=False`": (
        "test_images::test_fit_keeps_the_order_of_batches_that_are_not_shuffled"
    ),
    "`ImageDataGenerator(interpolation_order=3)`": "test_images::test_what_means_nothing_is_refused",
    "a folder without images, a subset without `validation_split`": (
        "test_image_folders::test_a_folder_without_images_is_refused"
    ),
    "`image_dataset_from_directory`": "test_image_folders::test_files_and_labels_are_those_of_keras",
    "`ops.image.elastic_transform`": "test_ops_image_places::test_distortions_follow_the_seed",
    "`ops.image.gaussian_blur` without a `data_format`": (
        "test_ops_image_places::test_channels_first_is_the_same_by_the_setting"
    ),
    "images of more than `PIL.Image.MAX_IMAGE_PIXELS` pixels": (
        "test_images::test_an_image_of_too_many_pixels_is_refused"
    ),
    "`BackupAndRestore`": "test_resume::test_a_run_killed_a_few_times_ends_as_one_that_never_was",
    "`BackupAndRestore`, `ModelCheckpoint`": "test_atomic::test_a_failing_flush_or_rename_leaves_the_old_file",
    "`TerminateOnNaN`": "test_logs::test_a_loss_that_is_no_number_ends_the_run_with_the_weights_before_it",
    "`TensorBoard`": "test_callbacks_outward::test_what_tensorboard_here_cannot_do_is_refused",
    "files of tf.keras 2.3 to 2.15": "test_files_keras_2::test_a_file_of_tf_keras_predicts_what_it_predicted",
    "frames (pandas, polars, Arrow) whose columns are in another order than in `fit`": (
        "test_columns::test_a_frame_in_another_order_is_put_into_that_of_fit"
    ),
    "`SKLearnClassifier.decision_function` of two classes": (
        "test_wrappers::test_decisions_have_the_shape_that_scikit_learn_takes"
    ),
    "`SKLearnRegressor`, `SKLearnTransformer`": "test_wrappers::test_a_transformer_before_another_estimator",
    "`clone` of an estimator of Keras 3; `warm_start`": "test_wrappers::test_a_compiled_model_is_trained_from_new_weights",
    "`KerasClassifier`, `KerasRegressor` of Keras 2": "test_wrappers::test_keras_2_reads_history_and_model",
    '`KerasClassifier(loss="categorical_crossentropy")` of scikeras': (
        "test_wrappers::test_labels_are_in_the_form_that_the_loss_takes"
    ),
    "`optimizer=` and so on beside a model that comes compiled, of scikeras": "test_wrappers::test_refused",
    "a model given to `KerasClassifier` or `KerasRegressor` of scikeras": (
        "test_wrappers::test_a_model_is_copied_with_its_weights"
    ),
    "metrics of masked sequences on JAX": "test_fit_oracle::test_fit_evaluate_and_predict_are_those_of_keras",
    "`timeseries_dataset_from_array`, `text_dataset_from_directory`": (
        "test_datasets_made::test_each_pass_has_an_order_of_its_own_which_the_seed_repeats"
    ),
    "`text_dataset_from_directory(max_length=n)`": ("test_datasets_made::test_texts_and_labels_of_subfolders"),
    "`audio_dataset_from_directory`": "test_audio_files::test_samples_of_every_width",
    "`split_dataset`": ("test_datasets_made::test_batches_are_split_and_keep_their_size"),
    "`Tokenizer.fit_on_texts` of texts without a word, of what is not a text, of one string": (
        "test_text::test_what_is_no_text_is_refused_and_nothing_is_counted"
    ),
    "`TimeseriesGenerator.to_json`": ("test_text::test_a_generator_of_windows_is_written_and_read"),
    "`utils.Progbar` in files and pipes": ("test_datasets_made::test_a_bar_averages_and_ends_with_the_last_numbers"),
    "a download that is interrupted": "test_downloads::test_the_next_call_continues",
    "archives with links, or paths that leave the folder": (
        "test_archives::test_what_is_hostile_is_refused_and_leaves_nothing"
    ),
    "`get_file(extract=True)` of what is unpacked already": (
        "test_downloads::test_what_is_unpacked_is_unpacked_again_where_it_misses_something"
    ),
    "`get_file(cache_dir=...)` of a folder that does not exist": (
        "test_downloads::test_names_and_folders_are_those_of_keras"
    ),
    "`get_file` of what is not an archive, a hash of no known length, another `hash_algorithm`": (
        "test_downloads::test_what_means_nothing_is_refused_before_any_work"
    ),
    "IMDB and Reuters where all texts have one length": "test_datasets::test_texts_of_one_length_are_still_lists",
    "images of CIFAR": "test_datasets::test_cifar10",
}
"""Tests elsewhere, of the rows that take more than a few lines."""

UNCHECKED = {
    "NumPy backend": "the whole suite runs on it",
}
"""Rows without a check, and why."""


def titles():
    lines = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8").splitlines()
    return [line[2:].split(" | ")[0] for line in lines if line.startswith("| ") and not line.startswith("| where |")]


def test_every_row_of_the_page_is_checked_or_says_why_not():
    found = titles()
    assert len(set(found)) == len(found)
    listed = [*CHECKS, *TESTS, *UNCHECKED]
    assert len(set(listed)) == len(listed)
    assert set(found) == set(listed)


@pytest.mark.parametrize("title", CHECKS)
def test_a_row(title, tmp_path):
    function = CHECKS[title]
    with lamella.backend_scope("numpy"):
        function(*[tmp_path] * function.__code__.co_argcount)


@pytest.mark.parametrize("title", TESTS)
def test_the_test_of_a_row_exists(title):
    file, _, name = TESTS[title].partition("::")
    text = (ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE)

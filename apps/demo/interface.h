#pragma once

// What JavaScript calls: the demo as functions of numbers and of memory that both sides use. An error comes
// back as a text, which is empty if there is none; a text is valid until the next call.

#ifdef __wasm__
#define BALLAST_EXPORT(name) __attribute__((export_name(#name)))
#else
#define BALLAST_EXPORT(name)
#endif

extern "C" {

/// The settings, separated by spaces, in the order in which `demo_settings` holds their values; after a = the
/// names of the values 0, 1, ... of a choice.
BALLAST_EXPORT(demo_setting_names) const char* demo_setting_names();
BALLAST_EXPORT(demo_settings) double* demo_settings();
/// Two new networks by the settings.
BALLAST_EXPORT(demo_start) const char* demo_start();
/// `steps` steps, of which the last is recorded if `records` isn't 0.
BALLAST_EXPORT(demo_train) const char* demo_train(int steps, int records);
BALLAST_EXPORT(demo_set_lr) const char* demo_set_lr(double lr);
/// Of the last step, for each side: loss, accuracy, and for each hidden layer the norms of gradient
/// and weight, the spread over the images of the activation's inputs and of the layer's outputs, and 65
/// quantiles of each of these two.
BALLAST_EXPORT(demo_record) const float* demo_record();
/// The share of test images that side 0 or 1 gets right.
BALLAST_EXPORT(demo_test_accuracy) double demo_test_accuracy(int side);
/// An image, (28, 28): what `demo_classify` reads.
BALLAST_EXPORT(demo_image) float* demo_image();
/// The ten probabilities for the image.
BALLAST_EXPORT(demo_classify) const float* demo_classify(int side);
/// Writes a test image into `demo_image` and returns its class.
BALLAST_EXPORT(demo_test_image) int demo_test_image(int index);
/// Of all parameters and running statistics, in hexadecimal.
BALLAST_EXPORT(demo_hash) const char* demo_hash(int side);
}
